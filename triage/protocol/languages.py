"""Languages by the names and codes that databases give them."""

from __future__ import annotations

import re

# ISO 639: each language's codes (two letters; both three-letter forms where they differ, and withdrawn
# ones that old records hold), then its English names, the first being the one that is shown.
_LANGUAGES = """
aa aar Afar|ab abk Abkhazian|ae ave Avestan|af afr Afrikaans|ak aka Akan|am amh Amharic|an arg Aragonese
ar ara Arabic|as asm Assamese|av ava Avaric|ay aym Aymara|az aze Azerbaijani|ba bak Bashkir
be bel Belarusian|bg bul Bulgarian|bi bis Bislama|bm bam Bambara|bn ben Bengali|bo bod tib Tibetan
br bre Breton|bs bos Bosnian|ca cat Catalan/Valencian|ce che Chechen|ch cha Chamorro|co cos Corsican
cr cre Cree|cs ces cze Czech|cu chu Church Slavic|cv chv Chuvash|cy cym wel Welsh|da dan Danish
de deu ger German|dv div Divehi/Maldivian|dz dzo Dzongkha|ee ewe Ewe|el ell gre Greek|en eng English
eo epo Esperanto|es spa Spanish/Castilian|et est Estonian|eu eus baq Basque|fa fas per Persian/Farsi
ff ful Fulah|fi fin Finnish|fj fij Fijian|fo fao Faroese|fr fra fre French|fy fry Frisian/Western Frisian
ga gle Irish|gd gla Scottish Gaelic/Gaelic|gl glg Galician|gn grn Guarani|gu guj Gujarati|gv glv Manx
ha hau Hausa|he heb Hebrew|hi hin Hindi|ho hmo Hiri Motu|hr hrv scr Croatian|ht hat Haitian/Haitian Creole
hu hun Hungarian|hy hye arm Armenian|hz her Herero|ia ina Interlingua|id ind Indonesian|ie ile Interlingue
ig ibo Igbo|ii iii Sichuan Yi|ik ipk Inupiaq|io ido Ido|is isl ice Icelandic|it ita Italian|iu iku Inuktitut
ja jpn Japanese|jv jav Javanese|ka kat geo Georgian|kg kon Kongo|ki kik Kikuyu|kj kua Kuanyama|kk kaz Kazakh
kl kal Greenlandic/Kalaallisut|km khm Khmer|kn kan Kannada|ko kor Korean|kr kau Kanuri|ks kas Kashmiri
ku kur Kurdish|kv kom Komi|kw cor Cornish|ky kir Kyrgyz/Kirghiz|la lat Latin
lb ltz Luxembourgish/Letzeburgesch|lg lug Ganda|li lim Limburgish/Limburgan|ln lin Lingala|lo lao Lao
lt lit Lithuanian|lu lub Luba-Katanga|lv lav Latvian|mg mlg Malagasy|mh mah Marshallese|mi mri mao Maori
mk mkd mac Macedonian|ml mal Malayalam|mn mon Mongolian|mr mar Marathi|ms msa may Malay|mt mlt Maltese
my mya bur Burmese|na nau Nauru|nb nob Norwegian Bokmal/Bokmal|nd nde North Ndebele|ne nep Nepali
ng ndo Ndonga|nl nld dut Dutch/Flemish|nn nno Norwegian Nynorsk/Nynorsk|no nor Norwegian
nr nbl South Ndebele|nv nav Navajo|ny nya Chichewa|oc oci Occitan|oj oji Ojibwa|om orm Oromo
or ori Odia/Oriya|os oss Ossetian|pa pan Punjabi/Panjabi|pi pli Pali|pl pol Polish|ps pus Pashto/Pushto
pt por Portuguese|qu que Quechua|rm roh Romansh|rn run Rundi|ro ron rum mol Romanian/Moldavian/Moldovan
ru rus Russian|rw kin Kinyarwanda|sa san Sanskrit|sc srd Sardinian|sd snd Sindhi|se sme Northern Sami
sg sag Sango|sh hbs Serbo-Croatian|si sin Sinhala/Sinhalese|sk slk slo Slovak|sl slv Slovenian/Slovene
sm smo Samoan|sn sna Shona|so som Somali|sq sqi alb Albanian|sr srp scc Serbian|ss ssw Swati
st sot Southern Sotho|su sun Sundanese|sv swe Swedish|sw swa Swahili|ta tam Tamil|te tel Telugu|tg tgk Tajik
th tha Thai|ti tir Tigrinya|tk tuk Turkmen|tl tgl Tagalog/Filipino|tn tsn Tswana|to ton Tonga|tr tur Turkish
ts tso Tsonga|tt tat Tatar|tw twi Twi|ty tah Tahitian|ug uig Uyghur/Uighur|uk ukr Ukrainian|ur urd Urdu
uz uzb Uzbek|ve ven Venda|vi vie Vietnamese|vo vol Volapuk|wa wln Walloon|wo wol Wolof|xh xho Xhosa
yi yid Yiddish|yo yor Yoruba|za zha Zhuang|zh zho chi Chinese/Mandarin/Cantonese|zu zul Zulu
"""
LANGUAGE_NAMES = {
    word.casefold(): names.split("/")[0]
    for entry in _LANGUAGES.strip().replace("\n", "|").split("|")
    for codes, names in re.findall(r"^((?:[a-z]{2,3} )+)(.+)$", entry)
    for word in (*codes.split(), *names.split("/"))
}


def language_name(text: str) -> str | None:
    """Return the English name of the language with this English name or ISO 639 code; None if unknown.

    Examples
    --------
    >>> language_name("ger"), language_name("DE"), language_name("Farsi"), language_name("Klingon")
    ('German', 'German', 'Persian', None)
    """
    return LANGUAGE_NAMES.get(" ".join(text.casefold().replace("bokmål", "bokmal").split()))
