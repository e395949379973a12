"""Texts that are no UTF-8: read where their encoding is beyond doubt, asked about elsewhere."""

import json

import pytest
from typer.testing import CliRunner

from triage import formats
from triage.cli.app import app
from triage.errors import InputError

CHINESE = [
    (
        "同伴支持对抑郁症患者生活质量的影响",
        "目的 探讨同伴支持干预对社区抑郁症患者生活质量和自我效能感的影响。方法 将患者随机分为两组，观察组在常规护理基础上接受同伴支持。",
    ),
    (
        "森林火灾风险评估方法研究",
        "本文分析了气候变暖对森林火灾发生的影响，建立了预测模型，并对不同地区的风险进行了评价。结果表明该模型具有较高的精度。",
    ),
    ("分娩疼痛的护理干预效果观察", "结论 护理干预能够减轻产妇的疼痛，缩短产程，提高满意度，值得在临床推广应用。"),
]
TAIWANESE = [
    (
        "同儕支持對憂鬱症患者生活品質之影響",
        "本研究旨在探討同儕支持方案對社區憂鬱症患者生活品質與自我效能的成效，採隨機分派方式將參與者分為實驗組與對照組。",
    ),
    (
        "護理人員對長期照護政策的看法",
        "結果顯示多數護理人員認為人力不足是目前最主要的問題，建議政府應提供更多的資源與訓練。",
    ),
]
JAPANESE = [
    (
        "精神障害者に対するピアサポートの効果に関する研究",
        "本研究の目的は、地域で生活する精神障害者に対するピアサポートの効果を明らかにすることである。対象者を二つの群に分けて比較した。",
    ),
    (
        "高齢者の転倒予防プログラムの評価",
        "プログラムに参加した高齢者では、転倒の回数が減り、歩く速さがよくなったことが示された。",
    ),
]
KOREAN = [
    (
        "정신장애인을 위한 동료지원 프로그램의 효과",
        "본 연구의 목적은 지역사회에서 생활하는 정신장애인을 대상으로 한 동료지원 프로그램의 효과를 알아보는 것이다. 연구 대상자를 두 집단으로 나누었다.",
    ),
    (
        "노인의 낙상 예방에 관한 연구",
        "프로그램에 참여한 노인들은 낙상 횟수가 줄어들고 삶의 질이 높아진 것으로 나타났다.",
    ),
]
RUSSIAN = [
    (
        "Взаимная поддержка пациентов с депрессией: обзор",
        "Цель исследования - оценить влияние взаимной поддержки на качество жизни пациентов, страдающих депрессией. Пациенты были случайным образом распределены на две группы.",
    ),
    (
        "Профилактика падений у пожилых людей",
        "Результаты показали, что программа упражнений снижает число падений и улучшает походку.",
    ),
]
GREEK = [
    (
        "Η επίδραση της υποστήριξης από ομοτίμους στην κατάθλιψη",
        "Σκοπός της μελέτης ήταν να διερευνηθεί η επίδραση της υποστήριξης στην ποιότητα ζωής των ασθενών. Άτομα με κατάθλιψη χωρίστηκαν τυχαία σε δύο ομάδες.",
    ),
    (
        "Πρόληψη των πτώσεων στους ηλικιωμένους",
        "Τα αποτελέσματα έδειξαν ότι το πρόγραμμα μείωσε τον αριθμό των πτώσεων.",
    ),
]
POLISH = [
    (
        "Wpływ wsparcia rówieśników na jakość życia chorych na depresję",
        "Celem pracy była ocena wpływu wsparcia na jakość życia pacjentów chorujących na depresję. Uczestników przydzielono losowo do dwóch grup, a wyniki porównano po sześciu miesiącach.",
    ),
    (
        "Zapobieganie upadkom u osób starszych: przegląd badań",
        "Ćwiczenia zmniejszają liczbę upadków i poprawiają równowagę u kobiet i mężczyzn powyżej 65. roku życia.",
    ),
]
CZECH = [
    (
        "Vliv vrstevnické podpory na kvalitu života pacientů s depresí",
        "Cílem práce bylo zjistit, zda vrstevnická podpora zlepšuje kvalitu života pacientů s depresí. Účastníci byli náhodně rozděleni do dvou skupin a sledováni šest měsíců.",
    ),
    ("Prevence pádů u starších lidí", "Cvičení snižuje počet pádů a zlepšuje rovnováhu u žen i mužů starších 65 let."),
]
TURKISH = [
    (
        "Akran desteğinin depresyonlu hastaların yaşam kalitesine etkisi",
        "Bu çalışmanın amacı, akran desteğinin depresyonu olan hastaların yaşam kalitesi üzerindeki etkisini incelemektir. Katılımcılar iki gruba rastgele ayrılmış ve altı ay izlenmiştir.",
    ),
    ("Yaşlılarda düşmelerin önlenmesi", "Egzersiz programı düşme sayısını azaltmış ve dengeyi geliştirmiştir."),
]
HEBREW = [
    (
        "השפעת תמיכת עמיתים על איכות החיים של מטופלים עם דיכאון",
        "מטרת המחקר היתה לבחון את השפעת התמיכה של עמיתים על איכות החיים. המשתתפים חולקו באקראי לשתי קבוצות והתוצאות הושוו לאחר חצי שנה.",
    ),
    ("מניעת נפילות בקרב קשישים", "תכנית התרגילים הפחיתה את מספר הנפילות ושיפרה את שיווי המשקל."),
]
GERMAN = [
    (
        "Über die Wirkung von Gleichaltrigen auf depressive Jugendliche",
        "Ziel der Studie war es, die Wirkung der Unterstützung auf die Lebensqualität von Patienten zu prüfen. Die Teilnehmer wurden zufällig auf zwei Gruppen verteilt; für beide wurden größere Änderungen gefunden.",
    ),
    (
        "Sturzprävention für ältere Menschen",
        "Übungen verringern die Zahl der Stürze und verbessern das Gleichgewicht älterer Frauen und Männer.",
    ),
]
FRENCH = [
    ("L’effet du soutien par les pairs sur la qualité de vie", "Le but de cette étude était d’évaluer l’effet du soutien sur la qualité de vie des patients déprimés. Les participants ont été répartis au hasard en deux groupes, suivis pendant six mois après l’entrée."),
    ("Prévention des chutes chez les personnes âgées", "Les exercices réduisent le nombre de chutes et améliorent l’équilibre."),
]  # fmt: skip
TEXTS = {
    "gbk": CHINESE,
    "gb18030": CHINESE,
    "big5": TAIWANESE,
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "iso2022_jp": JAPANESE,
    "euc_kr": KOREAN,
    "cp1251": RUSSIAN,
    "koi8-r": RUSSIAN,
    "mac_cyrillic": RUSSIAN,
    "cp1253": GREEK,
    "cp1250": POLISH,
    "cp1254": TURKISH,
    "mac_roman": GERMAN,
    "cp1252": FRENCH,
}
MORE = {
    "cp1255": HEBREW,
    "cp1250": CZECH,
    "mac_roman": FRENCH,
    "cp1252": GERMAN,
    "iso8859-2": POLISH,
    "iso8859-5": RUSSIAN,
}


def ris(texts):
    return "".join(f"TY  - JOUR\nTI  - {title}\nAB  - {text}\nER  - \n\n" for title, text in texts)


def write(tmp_path, text, encoding, name="x.ris"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def read_or_ask(path, **options):
    try:
        return formats.read(path, **options)
    except InputError as error:
        assert "--encoding NAME" in str(error)
        return None


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_text_that_is_long_enough_is_read_in_its_encoding(tmp_path, encoding):
    reading = formats.read(write(tmp_path, ris(TEXTS[encoding] * 3), encoding))
    assert [(r.title, r.abstract) for r in reading.records] == TEXTS[encoding] * 3
    (told,) = reading.warnings
    assert told.line == 2 and "read as" in told.message


@pytest.mark.parametrize("times", [1, 3, 10])
@pytest.mark.parametrize("encoding, texts", [*TEXTS.items(), *MORE.items()])
def test_no_text_is_read_in_another_encoding(tmp_path, encoding, texts, times):
    for some in ([texts[0]], [texts[1]], texts):
        reading = read_or_ask(write(tmp_path, ris(some * times), encoding))
        assert reading is None or [(r.title, r.abstract) for r in reading.records] == some * times
        titles = "".join(f"TY  - JOUR\nTI  - {title}\nER  - \n" for title, _ in some * times)
        reading = read_or_ask(write(tmp_path, titles, encoding))
        assert reading is None or [r.title for r in reading.records] == [title for title, _ in some * times]


def test_short_lines_that_happen_to_be_utf8_are_chinese_among_chinese(tmp_path):
    assert "\u9732\u9686".encode("gbk").decode("utf-8") != "\u9732\u9686"
    text = ris(CHINESE * 3) + "TY  - JOUR\nTI  - \u9732\u9686\nER  - \n"
    assert formats.read(write(tmp_path, text, "gbk")).records[-1].title == "\u9732\u9686"


def test_chinese_in_every_format(tmp_path):
    title, text = CHINESE[0]
    for name, content in {
        "x.nbib": f"PMID- 1\nTI  - {title}\nAB  - {text}\n",
        "x.enw": f"%0 Journal Article\n%T {title}\n%X {text}\n",
        "x.ciw": f"FN x\nPT J\nTI {title}\nAB {text}\nER\n\nEF\n",
        "x.bib": f"@article{{a, title = {{{title}}}, abstract = {{{text}}}}}\n",
        "x.csv": f"title,abstract\n{title},{text}\n",
        "x.xml": f"<xml><records><record><titles><title>{title}</title></titles><abstract>{text}</abstract></record></records></xml>",
    }.items():
        for options in ({}, {"encoding": "gbk"}):
            (record,) = formats.read(write(tmp_path, content, "gbk", name), **options).records
            assert (record.title, record.abstract) == (title, text), name


def test_a_large_file_is_cut_at_no_character(tmp_path):
    reading = formats.read(write(tmp_path, ris(CHINESE * 3_000), "gbk"))
    assert [(r.title, r.abstract) for r in reading.records] == CHINESE * 3_000


def test_files_of_utf8_and_windows_lines_go_on_as_before(tmp_path):
    path = tmp_path / "x.ris"
    path.write_bytes(ris(FRENCH).encode("cp1252") + ris(GERMAN).encode() + ris(RUSSIAN).encode())
    reading = formats.read(path)
    assert [r.title for r in reading.records] == [t for t, _ in (*FRENCH, *GERMAN, *RUSSIAN)]
    assert [(w.line, "Windows-1252" in w.message) for w in reading.warnings] == [(2, True)]


def test_what_cannot_be_told_is_shown_in_two_encodings(tmp_path):
    path = write(tmp_path, "TY  - JOUR\nAU  - Roe\nTI  - \u017bycie\nAU  - \u0141uk\nER  - \n", "cp1250")
    with pytest.raises(InputError) as refused:
        formats.read(path)
    assert "'\u017bycie' in" in str(refused.value) and "--encoding NAME" in str(refused.value)
    assert str(refused.value).count(" in ") >= 2


@pytest.mark.parametrize(
    "encoding", ["gb18030", "big5", "shift_jis", "koi8-r", "mac-roman", "windows-1250", "utf-16", "utf-8"]
)
def test_the_encoding_given_is_taken(tmp_path, encoding):
    text = {"gb18030": CHINESE, "big5": TAIWANESE, "shift_jis": JAPANESE, "koi8-r": RUSSIAN, "windows-1250": POLISH}
    texts = text.get(encoding, GERMAN)[:1]
    reading = formats.read(write(tmp_path, ris(texts), encoding), encoding=encoding)
    assert [(r.title, r.abstract) for r in reading.records] == texts
    assert reading.warnings == []


def test_an_encoding_that_is_none_or_not_the_files(tmp_path):
    path = write(tmp_path, ris(RUSSIAN), "utf-8")
    with pytest.raises(InputError, match="--encoding 'klingon' is not an encoding"):
        formats.read(path, encoding="klingon")
    with pytest.raises(InputError, match="--encoding 'hex' is not an encoding"):
        formats.read(path, encoding="hex")
    with pytest.raises(InputError, match="not text in the encoding euc_kr"):
        formats.read(path, encoding="euc-kr")


def test_the_command_takes_the_encoding(tmp_path):
    run = CliRunner().invoke
    review, path = str(tmp_path / "r.triage"), tmp_path / "t.csv"
    path.write_bytes("title,label\n\u017bycie,1\n\u0141uk,0\n".encode("cp1250"))
    run(app, ["new", review])
    refused = run(app, ["import", review, str(path)])
    assert isinstance(refused.exception, InputError) and "--encoding NAME" in str(refused.exception)
    told = json.loads(
        run(
            app, ["import", review, str(path), "--encoding", "windows-1250", "--label-column", "label", "--json"]
        ).stdout
    )
    assert told["files"][0]["kept"] == 2 and told["files"][0]["decisions"] == 2
    labels = tmp_path / "labels.csv"
    labels.write_bytes("record_id,label,note\n1,include,\u017bycie\n".encode("cp1250"))
    assert isinstance(run(app, ["label", review, str(labels)]).exception, InputError)
    assert run(app, ["label", review, str(labels), "--encoding", "windows-1250"]).exit_code == 0
    assert run(app, ["export", review, "-o", str(tmp_path / "out.csv")]).exit_code == 0
    out = (tmp_path / "out.csv").read_text(encoding="utf-8-sig")
    assert out.count("\u017bycie") == 2 and "\u0141uk" in out
