"""The XML of PubMed, EndNote and EBSCO."""

from formats_helpers import EXPORTS, needs_exports, read

from triage import formats
from triage.records import Record, normal_title

# -- PubMed XML -------------------------------------------------------------------------------


PUBMED = """<?xml version="1.0" ?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="1">12345</PMID>
<DateRevised><Year>2021</Year><Month>02</Month><Day>03</Day></DateRevised>
<Article PubModel="Print"><Journal><ISSN IssnType="Print">1111-2222</ISSN><JournalIssue CitedMedium="Print"><Volume>7</Volume>
<Issue>2</Issue><PubDate><Year>2020</Year><Month>Mar</Month></PubDate></JournalIssue><Title>A journal</Title></Journal>
<ArticleTitle>Effect of <i>peer</i> support: CO<sub>2</sub> &amp; more</ArticleTitle>
<ELocationID EIdType="doi" ValidYN="Y">10.1000/Two</ELocationID>
<Abstract><AbstractText Label="BACKGROUND">One <b>bold</b>.</AbstractText><AbstractText Label="RESULTS">Two.</AbstractText></Abstract>
<AuthorList><Author><LastName>Doe</LastName><ForeName>Jane</ForeName><AffiliationInfo><Affiliation>Here.</Affiliation></AffiliationInfo>
</Author><Author><CollectiveName>The Group</CollectiveName></Author></AuthorList><Language>eng</Language><Language>fre</Language>
<PublicationTypeList><PublicationType UI="D016428">Journal Article</PublicationType><PublicationType>Review</PublicationType>
</PublicationTypeList></Article><MeshHeadingList><MeshHeading><DescriptorName MajorTopicYN="Y">Peer Group</DescriptorName>
<QualifierName MajorTopicYN="N">methods</QualifierName></MeshHeading></MeshHeadingList>
<KeywordList><Keyword MajorTopicYN="N">recovery</Keyword></KeywordList></MedlineCitation>
<PubmedData><ArticleIdList><ArticleId IdType="pubmed">12345</ArticleId><ArticleId IdType="doi">10.1000/One</ArticleId>
</ArticleIdList><ReferenceList><Reference><Citation>Other work</Citation><ArticleIdList><ArticleId IdType="doi">10.9999/not-mine
</ArticleId></ArticleIdList></Reference></ReferenceList></PubmedData></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>2</PMID><Article><Journal><JournalIssue><PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate>
</PubDate></JournalIssue></Journal><ArticleTitle>Second</ArticleTitle></Article></MedlineCitation></PubmedArticle>
<PubmedBookArticle><BookDocument><PMID>3</PMID><Book><BookTitle>The book</BookTitle><PubDate><Year>2011</Year></PubDate></Book>
<ArticleTitle>A chapter</ArticleTitle><Abstract><AbstractText>Text</AbstractText></Abstract></BookDocument></PubmedBookArticle>
<PubmedArticle><MedlineCitation><PMID>4</PMID></MedlineCitation></PubmedArticle>
</PubmedArticleSet>
"""


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_pubmed_xml(tmp_path):
    reading = read(tmp_path, PUBMED, "x.xml")
    assert (reading.format, reading.announced) == ("pubmed-xml", 4)
    first, second, book = reading.records
    assert first.title == "Effect of peer support: CO2 & more"
    assert first.abstract == "BACKGROUND: One bold.\nRESULTS: Two." and first.authors == ("Doe, Jane", "The Group")
    assert (first.pmid, first.doi, first.year, first.journal) == ("12345", "10.1000/one", 2020, "A journal")
    assert (first.language, first.type) == ("eng; fre", "Journal Article; Review")
    assert first.keywords == ("*Peer Group/methods", "recovery")
    assert first.extra["VI"] == ("7",) and first.extra["AD"] == ("Here.",) and first.extra["DP"] == ("2020 Mar",)
    assert (second.title, second.year, second.pmid) == ("Second", 1998, "2")
    assert (book.title, book.year, book.abstract) == ("A chapter", 2011, "Text")
    assert [(p.line, "no title" in p.message) for p in reading.problems] == [(line_of(PUBMED, "<PMID>4"), True)]
    assert reading.lines == [4, line_of(PUBMED, "<PMID>2"), line_of(PUBMED, "<PubmedBook")]


def test_what_pubmed_has_besides_is_kept_under_the_names_of_medline(tmp_path):
    text = """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article><Journal><Title>J</Title></Journal>
<ArticleTitle></ArticleTitle><VernacularTitle>Ein Titel</VernacularTitle><ELocationID EIdType="pii">e123</ELocationID>
<AuthorList><Author><LastName>Doe</LastName><Initials>J</Initials></Author></AuthorList></Article>
<OtherAbstract><AbstractText>Ein Text.</AbstractText></OtherAbstract></MedlineCitation><PubmedData><History>
<PubMedPubDate PubStatus="entrez"><Year>2020</Year><Month>3</Month><Day>1</Day></PubMedPubDate></History><ArticleIdList>
<ArticleId IdType="pmc">PMC99</ArticleId><ArticleId IdType="pii">S0140</ArticleId></ArticleIdList></PubmedData></PubmedArticle>
</PubmedArticleSet>"""
    (record,) = read(tmp_path, text, "x.xml").records
    assert (record.title, record.abstract, record.authors, record.year) == ("Ein Titel", "", ("Doe, J",), None)
    kept = {"PMC": "PMC99", "AID": "S0140", "LID": "e123", "OAB": "Ein Text.", "PHST": "2020 3 1 [entrez]"}
    assert {tag: record.extra[tag] for tag in kept} == {tag: (value,) for tag, value in kept.items()}


def test_a_broken_record_hides_no_other(tmp_path):
    text = PUBMED.replace("<ArticleTitle>Second</ArticleTitle>", "<ArticleTitle>Second</Article>")
    reading = read(tmp_path, text, "x.xml")
    assert reading.announced == 4 and [r.pmid for r in reading.records] == ["12345", "3"]
    assert [p.line for p in reading.problems] == [
        line_of(text, "<PMID>2"),
        line_of(text, "<PMID>4"),
    ] and "broken" in reading.problems[0].message
    cut = read(tmp_path, PUBMED[: PUBMED.index("1998 Dec")], "x.xml")
    assert cut.announced == 2 and [r.pmid for r in cut.records] == ["12345"] and len(cut.problems) == 1


def test_what_xml_forbids_and_exports_hold_is_mended_and_told(tmp_path):
    text = PUBMED.replace("Second", "Gen\u00e9 &nbsp;&alpha; \x02 &#x1F; R&D x")
    reading = read(tmp_path, text, "x.xml")
    assert reading.records[1].title == "Gen\u00e9 \u03b1 R&D x"
    assert any("mended" in w.message for w in reading.warnings) and len(reading.records) == 3


def test_xml_in_an_encoding_of_its_own(tmp_path):
    text = PUBMED.replace('version="1.0"', 'version="1.0" encoding="ISO-8859-2"').replace(
        "Second", "\u0141\u00f3d\u017a"
    )
    reading = read(tmp_path, text.encode("iso8859-2"), "x.xml")
    assert reading.records[1].title == "\u0141\u00f3d\u017a" and "ISO8859-2" in reading.warnings[0].message.upper()
    assert read(tmp_path, text.encode("utf-16"), "x.xml").records[1].title == "\u0141\u00f3d\u017a"


# -- EndNote ----------------------------------------------------------------------------------


def test_endnote_xml(tmp_path):
    styled = '<style face="normal" font="default" size="100%">{}</style>'.format
    text = f"""<?xml version="1.0" encoding="UTF-8" ?><xml><records><record><database name="x.enl">x.enl</database>
<rec-number>19</rec-number><ref-type name="Journal Article">17</ref-type><contributors><authors><author>{styled("Baird, J. K.")}</author>
<author>{styled("Roe, R")}</author></authors><secondary-authors><author>Ed, I</author></secondary-authors></contributors><titles>
<title>{styled("A ")}{styled("title")}</title><secondary-title>{styled("Clin Rev")}</secondary-title></titles><pages>1-9</pages>
<keywords><keyword>one&#xD;two</keyword></keywords><dates><year>{styled("2019")}</year></dates><accession-num>31366609</accession-num>
<abstract>{styled("One.&#xD;Two.")}</abstract><electronic-resource-num>doi:10.1000/ABC</electronic-resource-num>
<remote-database-provider>NLM</remote-database-provider><language>eng</language></record>
<record><ref-type name="Book">6</ref-type><titles><title>B</title></titles><abstract>[No abstract available]</abstract></record>
<record><rec-number>3</rec-number></record></records></xml>"""
    reading = read(tmp_path, text, "x.xml")
    first, second = reading.records
    assert (reading.format, reading.announced, len(reading.problems)) == ("endnote-xml", 3, 1)
    assert first == Record(
        title="A title",
        abstract="One.\nTwo.",
        authors=("Baird, J. K.", "Roe, R"),
        year=2019,
        journal="Clin Rev",
        doi="10.1000/abc",
        pmid="31366609",
        language="eng",
        type="Journal Article",
        keywords=("one", "two"),
        extra=first.extra,
    )
    assert first.extra["secondary-authors"] == ("Ed, I",) and first.extra["pages"] == ("1-9",)
    assert first.extra["electronic-resource-num"] == ("doi:10.1000/ABC",) and first.extra["accession-num"] == (
        "31366609",
    )
    assert (second.title, second.abstract, second.type) == ("B", "", "Book") and second.extra["abstract"] == (
        "[No abstract available]",
    )


@needs_exports
def test_one_library_as_zotero_writes_it_in_two_formats():
    xml, table = (formats.read(EXPORTS / "asysd" / f"zotero_export.{e}").records for e in ("xml", "csv"))
    assert len(xml) == len(table) == 1233
    by_title = {normal_title(r.title): r for r in table}
    agree = [(r, by_title[normal_title(r.title)]) for r in xml if normal_title(r.title) in by_title]
    assert len(agree) == 1233
    assert sum(a.doi == b.doi and a.year == b.year for a, b in agree) > 1200
    assert sum(a.authors == b.authors for a, b in agree) > 1150


# -- EBSCO ----------------------------------------------------------------------------------------


def test_ebsco_xml(tmp_path):
    text = """<records><rec resultID="1"><header shortDbName="psyh" longDbName="APA PsycInfo" uiTerm="2024-1"><controlInfo><bkinfo>
<btl>A title &amp; more</btl><aug /></bkinfo><jinfo><jtl>The journal</jtl><issn type="Print">01650327</issn></jinfo><pubinfo>
<dt year="2024" month="02" day="15">20240215</dt><vid>347</vid></pubinfo><artinfo><ui type="doi">10.1000/X</ui>
<ui type="pmid">NLM38007102</ui><tig><atl>A title &amp; more</atl></tig><aug><au>Yin, Anxin</au><au>Shi, Y</au></aug><sug>
<subj type="major">Birth</subj></sug><ab>Text.</ab><pubtype>Journal</pubtype><doctype>Journal Article</doctype></artinfo>
<language>English</language></controlInfo></header></rec><rec resultID="2"><header uiTerm="2"><controlInfo><bkinfo><btl>B</btl>
</bkinfo><artinfo/></controlInfo></header></rec></records>"""
    reading = read(tmp_path, text, "x.xml")
    first, second = reading.records
    assert (reading.format, reading.announced) == ("ebsco-xml", 2) and second.title == "B"
    assert first == Record(
        title="A title & more",
        abstract="Text.",
        authors=("Yin, Anxin", "Shi, Y"),
        year=2024,
        journal="The journal",
        doi="10.1000/x",
        pmid="38007102",
        language="English",
        type="Journal Article",
        keywords=("Birth",),
        extra=first.extra,
    )
    assert first.extra["uiTerm"] == ("2024-1",) and first.extra["vid"] == ("347",) and "btl" not in first.extra


def test_an_ebsco_record_without_anything_to_screen_is_told_with_its_line(tmp_path):
    artinfo = "<artinfo><tig><atl>One</atl></tig><ab>First.</ab><ab>No abstract available.</ab></artinfo>"
    text = "<records>{}\n{}</records>".format(
        "<rec><header uiTerm='1'><controlInfo><dt year='2020'/></controlInfo></header></rec>",
        f"<rec><header uiTerm='2'><controlInfo>{artinfo}</controlInfo></header></rec>",
    )
    reading = read(tmp_path, text, "x.xml")
    assert reading.announced == 2 and [p.line for p in reading.problems] == [1] and reading.lines == [2]
    assert "no title, abstract or author" in reading.problems[0].message
    (record,) = reading.records
    assert record.abstract == "First." and record.extra["ab"] == ("No abstract available.",)
