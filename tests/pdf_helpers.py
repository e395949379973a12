"""PDFs as publishers make them, written by hand: a page is its lines, from the top."""

import zlib

_LIGATURES = {"\ufb01": 1, "\ufb02": 2, "\ufb00": 3, "\ufb03": 4}


def made_pdf(*pages, info=None, xmp="", trailer=b"", packed=True):
    """Return a PDF whose pages have these lines.

    Parameters
    ----------
    pages : sequence of sequences of str
        The lines of each page.
    info : mapping of str to str
        What stands in the document's information, such as "Title".
    xmp : str
        The inner elements of the metadata that is written as XML.
    """
    objects = [b"", b"", font()]

    def add(content):
        objects.append(content)
        return len(objects)

    kids = []
    for lines in pages:
        text = b"BT /F1 9 Tf 12 TL 40 800 Td " + b" ".join(b"(" + written(line) + b") Tj T*" for line in lines) + b" ET"
        contents = add(stream(text, packed=packed))
        kids.append(
            add(
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 842]/Contents {contents} 0 R"
                "/Resources<</Font<</F1 3 0 R>>>>>>".encode()
            )
        )
    metadata = (
        f"/Metadata {add(stream(with_rdf(xmp), packed=False, kind='/Type/Metadata/Subtype/XML'))} 0 R" if xmp else ""
    )
    objects[0] = f"<</Type/Catalog/Pages 2 0 R{metadata}>>".encode()
    objects[1] = f"<</Type/Pages/Kids[{' '.join(f'{n} 0 R' for n in kids)}]/Count {len(kids)}>>".encode()
    if info:
        values = b"".join(
            b"/" + name.encode() + b"(" + b"\xfe\xff".replace(b"(", b"\\(") + utf16(value) + b")"
            for name, value in info.items()
        )
        trailer += b"/Info %d 0 R" % add(b"<<" + values + b">>")
    return assembled(objects, trailer)


def assembled(objects, trailer=b""):
    """Return a PDF of these objects, the first being its catalog."""
    whole, places = b"%PDF-1.5\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return whole + b"xref\n0 %d\n0000000000 65535 f \n%btrailer<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        trailer,
        len(whole),
    )


def stream(content, *, packed=True, kind=""):
    """Return an object that is a stream."""
    if packed:
        content, kind = zlib.compress(content), f"{kind}/Filter/FlateDecode"
    return f"<</Length {len(content)}{kind}>>stream\n".encode() + content + b"\nendstream"


def font():
    """Return a font in which the first codes are ligatures."""
    differences = "/Encoding<</BaseEncoding/WinAnsiEncoding/Differences[1/fi/fl/ff/ffi]>>"
    return f"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman{differences}>>".encode()


def written(line):
    """Return a line as it stands in a page's content."""
    codes = bytes(_LIGATURES[c] if c in _LIGATURES else c.encode("cp1252", "replace")[0] for c in line)
    return codes.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def utf16(value):
    """Return a value of the document's information, in the encoding that takes any letter."""
    content = b"\xfe\xff" + value.encode("utf-16-be")
    for sign in (b"\\", b"(", b")"):
        content = content.replace(sign, b"\\" + sign)
    return content.replace(b"\r", b"\\r")


def with_rdf(inner):
    """Return the metadata that is written as XML, around its inner elements."""
    return (
        '<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:prism="p" xmlns:dc="d">'
        f'{inner}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


BODY = (
    "Introduction",
    "It is well known that the question which this paper asks has been answered in different ways by those who",
    "came before us, and that none of the answers was found to hold wherever it was tried. We therefore describe",
    "how we set out to answer it again, what was found, and what is left to be done by others after us.",
    "Materials and methods are described below, together with what was measured and how often it was measured.",
)


def article(title, authors, *, head=(), doi="", foot=(), body=BODY, **options):
    """Return the PDF of an article: what stands above its title, the title in lines, the authors, and the rest."""
    lines = title if isinstance(title, (list, tuple)) else wrapped(title)
    by = [", ".join(authors)] if authors else []
    identified = [f"https://doi.org/{doi}"] if doi else []
    return made_pdf(
        [*head, *lines, *by, "Department of Something, University of Somewhere", *identified, "Abstract", *body, *foot],
        list(BODY),
        **options,
    )


def wrapped(text, width=60):
    """Return a text in lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
