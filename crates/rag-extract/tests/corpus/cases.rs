//! Files that are read.
use std::fmt::Write;

use super::Case;
use super::pdf::{Font, Pdf, Tail};
use super::zipped::{docx, epub, odf, p, pptx, row, shape, styled, table, xlsb, xlsx};

/// All of them.
pub fn cases() -> Vec<Case> {
    [
        pdf_text(),
        pdf_layout(),
        pdf_files(),
        word(),
        slides(),
        sheets(),
        open_document(),
        books(),
        text(),
        markup(),
        mail(),
    ]
    .concat()
}

fn pdf(name: &'static str, pdf: &Pdf, pages: usize) -> Case {
    Case { name, bytes: pdf.build(), format: "pdf", pages, counted: true, ..Case::default() }
}

/// Lines as long as a column is wide.
const LEFT: [&str; 6] = [
    "The left column begins with a line",
    "that fills it, and goes on in another",
    "line of about the same length, as in",
    "all newspapers, whose columns are",
    "narrow so that eyes do not have to",
    "travel far from one line to the next.",
];
const RIGHT: [&str; 6] = [
    "On the right side there is a second",
    "column, whose lines stand on the very",
    "same baselines as those on the left,",
    "which is how a reader that goes by",
    "lines alone is led from one thought",
    "straight into the middle of another.",
];

fn pdf_text() -> Vec<Case> {
    let mut plain = Pdf::new();
    plain.page().line(Font::Bold, 20.0, 72.0, 760.0, "Tides");
    plain.lines(
        72.0,
        720.0,
        &[
            "The tide follows the moon, and its height fol-",
            "lows the season as well as the shape of a",
            "well-",
            "known coast.",
        ],
    );
    plain.line(Font::Bold, 14.0, 72.0, 620.0, "Spring tides");
    plain.lines(
        72.0,
        600.0,
        &["They come twice a month, and this well-known", "fact was written down early."],
    );
    plain.info("/Title(On tides)/Author(A. Sailor)/CreationDate(D:20240229120000Z)");
    let plain = Case {
        headings: vec![(1, "# Tides"), (1, "## Spring tides")],
        phrases: vec![(
            1,
            "its height follows the season as well as the shape of a well-known coast.",
        )],
        metadata: vec![
            ("title", "On tides"),
            ("author", "A. Sailor"),
            ("created", "2024-02-29T12:00:00Z"),
        ],
        ..pdf("pdf: headings, joined lines, divided words", &plain, 1)
    };

    let mut heads = Pdf::new();
    for (n, body) in [
        "Alpha comes first of",
        "Bravo takes the next",
        "Charlie is behind it",
        "Delta ends the file",
    ]
    .iter()
    .enumerate()
    {
        let page = heads.page();
        page.line(Font::Text, 9.0, 72.0, 810.0, "Signals at sea");
        page.lines(72.0, 760.0, &[body, "all the pages here."]);
        page.line(Font::Text, 9.0, 300.0, 30.0, &format!("- {} -", n + 1));
    }
    let heads = Case {
        phrases: vec![
            (1, "Alpha comes first of all the pages here."),
            (4, "Delta ends the file all"),
        ],
        lacks: vec!["Signals at sea", "- 1 -", "- 4 -"],
        ..pdf("pdf: running heads and page numbers go", &heads, 4)
    };

    let mut labels = Pdf::new();
    labels.page().lines(72.0, 700.0, &["The preface of the", "small book."]);
    labels.page().lines(72.0, 700.0, &["The first chapter of", "the small book."]);
    labels.page().lines(72.0, 700.0, &["Still the first", "chapter."]);
    labels.labels("0<</S/r>>1<</S/D>>");
    let labels = Case {
        phrases: vec![
            (1, "The preface of the small book."),
            (2, "The first chapter of the small book."),
        ],
        page_metadata: vec![(1, "label", "i"), (2, "label", "1")],
        ..pdf("pdf: page labels", &labels, 3)
    };

    let mut hebrew = Pdf::new();
    hebrew.page();
    // Drawn from the left edge, as programs do: the last letter comes first.
    for (n, line) in ["שלום לכל העולם", "וגם לכל הימים"].iter().enumerate() {
        let drawn: String = line.chars().rev().collect();
        hebrew.line(
            Font::Unicode,
            12.0,
            400.0 - 7.0 * line.len() as f32 / 2.0,
            700.0 - 16.0 * n as f32,
            &drawn,
        );
    }
    let hebrew = Case {
        phrases: vec![(1, "שלום לכל העולם וגם לכל הימים")],
        ..pdf("pdf: right to left", &hebrew, 1)
    };

    let mut japanese = Pdf::new();
    japanese.page();
    for (n, line) in
        ["吾輩は猫である。名前はまだ無い。どこで生れ", "たかとんと見当がつかぬ。何でも薄暗い所で"]
            .iter()
            .enumerate()
    {
        japanese.line(Font::Unicode, 12.0, 72.0, 700.0 - 18.0 * n as f32, line);
    }
    let japanese = Case {
        phrases: vec![(1, "どこで生れたかとんと見当がつかぬ")],
        ..pdf("pdf: no spaces between lines of Japanese", &japanese, 1)
    };

    let mut ligature = Pdf::new();
    ligature.page().line(Font::Unicode, 12.0, 72.0, 700.0, "The o\u{fb03}ce \u{fb01}led the");
    ligature.line(Font::Unicode, 12.0, 72.0, 684.0, "\u{fb02}owers, so\u{ad}ftly.");
    let ligature = Case {
        phrases: vec![(1, "The office filed the flowers, softly.")],
        ..pdf("pdf: ligatures and soft hyphens", &ligature, 1)
    };

    let mut cyrillic = Pdf::new();
    cyrillic.page().line(
        Font::Unicode,
        12.0,
        72.0,
        700.0,
        "Мы шли по берегу и говорили о том, как пере-",
    );
    cyrillic.line(Font::Unicode, 12.0, 72.0, 684.0, "менчива погода.");
    let cyrillic = Case {
        phrases: vec![(1, "как переменчива погода.")],
        ..pdf("pdf: Cyrillic with a divided word", &cyrillic, 1)
    };
    let mut divided = Pdf::new();
    divided.page().lines(72.0, 700.0, &["The last word of this page is di-"]);
    divided.page().lines(72.0, 700.0, &["vided, and the next page goes", "on."]);
    let divided = Case {
        phrases: vec![
            (1, "The last word of this page is divided,"),
            (2, "and the next page goes on."),
        ],
        ..pdf("pdf: a word divided between pages", &divided, 2)
    };

    let mut same = Pdf::new();
    for _ in 0..4 {
        same.page().lines(72.0, 780.0, &["Handle with care,", "please."]);
    }
    let same = Case {
        phrases: vec![(1, "Handle with care, please."), (4, "Handle with care, please.")],
        ..pdf("pdf: pages that say the same", &same, 4)
    };
    vec![divided, same, plain, heads, labels, hebrew, japanese, ligature, cyrillic]
}

fn pdf_layout() -> Vec<Case> {
    let mut columns = Pdf::new();
    columns.page().line(
        Font::Bold,
        18.0,
        72.0,
        780.0,
        "A title above both of the columns on this page",
    );
    columns.lines(72.0, 740.0, &LEFT).lines(310.0, 740.0, &RIGHT);
    let columns = Case {
        headings: vec![(1, "# A title above both of the columns on this page")],
        phrases: vec![
            (1, "travel far from one line to the next.\n\nOn the right side"),
            (1, "a line that fills it"),
            (1, "second column, whose lines"),
        ],
        ..pdf("pdf: two columns", &columns, 1)
    };

    let mut three = Pdf::new();
    three.page();
    for (n, x) in [40.0, 220.0, 400.0].iter().enumerate() {
        let word = ["first", "second", "third"][n];
        let lines: Vec<String> = (0..8)
            .map(|k| {
                format!(
                    "the {word} column has line {k} {}",
                    ["that goes", "and then", "as it is", "so far on"][k % 4]
                )
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        three.page_lines(*x, &lines);
    }
    let three = Case {
        phrases: vec![
            (1, "first column has line 0 that goes the first column has line 1"),
            (1, "third column has line 6 as it is the third column has line 7"),
        ],
        ..pdf("pdf: three columns", &three, 1)
    };

    let mut ruled = Pdf::new();
    ruled.page().lines(72.0, 760.0, &["Before the table there is a", "sentence."]);
    for (n, cells) in [
        ["Fruit", "Note", "Price"],
        ["Quince", "is hard until", "2.50"],
        ["Medlar", "is soft", "3.00"],
    ]
    .iter()
    .enumerate()
    {
        let y = 700.0 - 40.0 * n as f32;
        for (cell, x) in cells.iter().zip([76.0, 150.0, 280.0]) {
            ruled.line(Font::Text, 11.0, x, y, cell);
        }
    }
    ruled.line(Font::Text, 11.0, 150.0, 646.0, "it is cooked");
    for y in [715.0, 680.0, 640.0, 600.0] {
        ruled.rule(72.0, y, 340.0, y);
    }
    for x in [72.0, 145.0, 275.0, 340.0] {
        ruled.rule(x, 715.0, x, 600.0);
    }
    let ruled = Case {
        rows: vec![
            (1, "| Fruit | Note | Price |"),
            (1, "| --- | --- | --- |"),
            (1, "| Quince | is hard until it is cooked | 2.50 |"),
            (1, "| Medlar | is soft | 3.00 |"),
        ],
        phrases: vec![(1, "Before the table there is a sentence.")],
        ..pdf("pdf: a ruled table whose cells have several lines", &ruled, 1)
    };

    let mut unruled = Pdf::new();
    unruled.page().line(Font::Bold, 18.0, 72.0, 790.0, "Countries");
    unruled.lines(
        72.0,
        760.0,
        &["Some of the larger countries are listed below with", "their capitals."],
    );
    for (n, cells) in [
        ["Country", "Capital", "People"],
        ["France", "Paris", "68"],
        ["Germany", "Berlin", "84"],
        ["Japan", "Tokyo", "124"],
    ]
    .iter()
    .enumerate()
    {
        for (cell, x) in cells.iter().zip([72.0, 180.0, 290.0]) {
            unruled.line(Font::Text, 11.0, x, 700.0 - 16.0 * n as f32, cell);
        }
    }
    unruled.lines(72.0, 600.0, &["Behind the table the text goes on as", "before."]);
    let unruled = Case {
        headings: vec![(1, "# Countries")],
        rows: vec![(1, "| Country | Capital | People |"), (1, "| Japan | Tokyo | 124 |")],
        phrases: vec![(1, "listed below with their capitals."), (1, "the text goes on as before.")],
        ..pdf("pdf: a table without rules", &unruled, 1)
    };

    let mut across = Pdf::new();
    for n in 0..3 {
        let page = across.page();
        for k in 0..6 {
            let cells = if k == 0 {
                ["Item".to_owned(), "Colour".into(), "Stock".into()]
            } else {
                [format!("item {n}{k}"), ["red", "blue"][k % 2].into(), format!("{}", 100 * n + k)]
            };
            for (cell, x) in cells.iter().zip([72.0, 200.0, 320.0]) {
                page.line(Font::Text, 11.0, x, 780.0 - 16.0 * k as f32, cell);
            }
        }
        page.line(Font::Text, 9.0, 500.0, 30.0, &format!("Page {} of 3", n + 1));
    }
    let across = Case {
        rows: vec![
            (1, "| Item | Colour | Stock |"),
            (2, "| Item | Colour | Stock |"),
            (3, "| item 25 | blue | 205 |"),
        ],
        lacks: vec!["Page 2"],
        ..pdf("pdf: a table across pages keeps its header", &across, 3)
    };

    let mut lists = Pdf::new();
    lists.page().line(Font::Text, 11.0, 72.0, 740.0, "To make tea:");
    lists.line(Font::Text, 11.0, 86.0, 720.0, "1. Boil water until it").line(
        Font::Text,
        11.0,
        100.0,
        706.0,
        "bubbles.",
    );
    lists.line(Font::Text, 11.0, 86.0, 692.0, "2. Pour it on the leaves.");
    lists
        .line(Font::Text, 11.0, 86.0, 660.0, "\u{95} green leaves")
        .line(Font::Text, 11.0, 86.0, 646.0, "\u{95} black leaves that were left in the")
        .line(Font::Text, 11.0, 96.0, 632.0, "sun");
    let lists = Case {
        rows: vec![
            (1, "1. Boil water until it bubbles."),
            (1, "2. Pour it on the leaves."),
            (1, "- green leaves"),
            (1, "- black leaves that were left in the sun"),
        ],
        ..pdf("pdf: lists", &lists, 1)
    };

    let mut code = Pdf::new();
    code.page().lines(72.0, 760.0, &["The statement that follows reads one", "table:"]);
    for (n, line) in ["SELECT name,", "       price", "  FROM fruit;"].iter().enumerate() {
        let blanks = line.len() - line.trim_start().len();
        code.line(
            Font::Fixed,
            10.0,
            72.0 + 6.0 * blanks as f32,
            700.0 - 12.0 * n as f32,
            line.trim_start(),
        );
    }
    let code = Case {
        rows: vec![(1, "SELECT name,"), (1, "       price"), (1, "  FROM fruit;"), (1, "```")],
        phrases: vec![(1, "that follows reads one table:")],
        ..pdf("pdf: code keeps its lines", &code, 1)
    };

    let mut note = Pdf::new();
    note.page().lines(
        72.0,
        700.0,
        &["The harbour was built by monks,1 who came from", "the north."],
    );
    note.line(
        Font::Text,
        8.0,
        72.0,
        100.0,
        "1 Their names are not known, nor is the year in which",
    );
    note.line(Font::Text, 8.0, 72.0, 90.0, "they came.");
    let note = Case {
        phrases: vec![
            (1, "who came from the north.\n\n1 Their names"),
            (1, "the year in which they came."),
        ],
        ..pdf("pdf: a footnote is a paragraph of its own", &note, 1)
    };
    vec![columns, three, ruled, unruled, across, lists, code, note]
}

fn pdf_files() -> Vec<Case> {
    let simple = |tail: Tail| {
        let mut pdf = Pdf::new();
        pdf.page().line(Font::Bold, 20.0, 72.0, 760.0, "Found again");
        pdf.lines(72.0, 720.0, &["What the table does not say is", "found by looking."]);
        pdf.tail = tail;
        pdf
    };
    let found = |name, tail| Case {
        headings: vec![(1, "# Found again")],
        phrases: vec![(1, "does not say is found by looking.")],
        ..pdf(name, &simple(tail), 1)
    };
    let mut turned = Pdf::new();
    turned.page().rotate(90);
    // Text that is upright once the page is turned.
    turned.turned(
        Font::Text,
        12.0,
        [0.0, 1.0, -1.0, 0.0, 100.0, 100.0],
        "On a page that lies on its",
    );
    turned.turned(Font::Text, 12.0, [0.0, 1.0, -1.0, 0.0, 116.0, 100.0], "side lines are lines.");
    let turned = Case {
        phrases: vec![(1, "On a page that lies on its side lines are lines.")],
        ..pdf("pdf: a turned page", &turned, 1)
    };

    let mut water = Pdf::new();
    for body in ["One page with", "Two pages with", "Three pages with"] {
        water.page().turned(Font::Bold, 60.0, [0.7, 0.7, -0.7, 0.7, 150.0, 200.0], "DRAFT");
        water.lines(72.0, 700.0, &[body, "a mark across."]);
    }
    let water = Case {
        phrases: vec![(2, "Two pages with a mark across.")],
        lacks: vec!["DRAFT"],
        ..pdf("pdf: watermarks go", &water, 3)
    };

    let mut form = Pdf::new();
    form.page().line(Font::Text, 11.0, 72.0, 605.0, "Name of the ship:").field("Esmeralda");
    let form = Case {
        phrases: vec![(1, "Name of the ship:"), (1, "Esmeralda")],
        ..pdf("pdf: what was filled into a form", &form, 1)
    };

    let mut mixed = Pdf::new();
    mixed.page().picture();
    mixed.page().lines(
        72.0,
        700.0,
        &[
            "A page of text beside a page that is a picture is",
            "text, and the picture's page is empty.",
        ],
    );
    mixed.page();
    let mixed = Case {
        phrases: vec![(2, "is a picture is text, and")],
        ..pdf("pdf: empty pages count", &mixed, 3)
    };

    let sealed = |name, file: &'static [u8], arguments| Case {
        name,
        bytes: file.to_vec(),
        arguments,
        format: "pdf",
        pages: 1,
        counted: true,
        headings: vec![(1, "# Sealed letter")],
        phrases: vec![(1, "sealed with a password that nobody")],
        ..Case::default()
    };
    vec![
        found("pdf: as written", Tail::Whole),
        found("pdf: offsets that point nowhere", Tail::WrongOffsets),
        found("pdf: without a table of objects", Tail::Missing),
        turned,
        water,
        form,
        mixed,
        sealed(
            "pdf: encrypted with the empty password",
            include_bytes!("../files/empty-password.pdf"),
            vec![],
        ),
        sealed(
            "pdf: encrypted, with the password",
            include_bytes!("../files/password.pdf"),
            vec!["--password", "secret"],
        ),
    ]
}

fn word() -> Vec<Case> {
    let case = |name, body: &str, pages| Case {
        name,
        bytes: docx(body),
        format: "docx",
        pages,
        counted: pages > 1,
        ..Case::default()
    };
    let list = |id: &str, level: usize, text: &str| {
        p(&format!("<w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"{id}\"/></w:numPr>"), text)
    };
    let run = |text: &str| format!("<w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r>");
    let page = "<w:r><w:br w:type=\"page\"/></w:r>";
    let rendered = "<w:r><w:lastRenderedPageBreak/></w:r>";
    let merged = format!(
        "<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val=\"2\"/></w:tcPr>{}</w:tc><w:tc><w:tcPr/>{}</w:tc></w:tr><w:tr><w:tc><w:tcPr><w:vMerge w:val=\"restart\"/></w:tcPr>{}</w:tc><w:tc><w:tcPr/>{}</w:tc><w:tc><w:tcPr/>{}{}</w:tc></w:tr><w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr>{}</w:tc><w:tc><w:tcPr/>{}</w:tc><w:tc><w:tcPr/>{}</w:tc></w:tr></w:tbl>",
        p("", "wide"),
        p("", "end"),
        p("", "tall"),
        p("", "b|c"),
        p("", "outer"),
        table(&[&["inner"]]),
        p("", ""),
        p("", "e"),
        p("", "f")
    );
    vec![
        Case {
            phrases: vec![(1, "Energy x_1^2(a+b)/c is kept.")],
            ..case(
                "docx: an equation in one line",
                &format!(
                    r#"<w:p>{}<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:sSubSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sub><m:r><m:t>1</m:t></m:r></m:sub><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSubSup><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>c</m:t></m:r></m:den></m:f></m:oMath>{}</w:p>"#,
                    run("Energy "),
                    run(" is kept.")
                ),
                1,
            )
        },
        Case {
            headings: vec![(1, "# Named title"), (1, "# First"), (1, "## Second"), (1, "## Third")],
            phrases: vec![(1, "A sentence in several runs.")],
            lacks: vec!["RUNNING HEAD"],
            metadata: vec![("title", "Kept title"), ("author", "An author")],
            ..case(
                "docx: headings by style, outline and inheritance",
                &(styled("Title", "Named title")
                    + &styled("Kop1", "First")
                    + &styled("Kop2", "Second")
                    + &styled("Own", "Third")
                    + &format!(
                        "<w:p>{}{}{}</w:p>",
                        run("A sentence"),
                        run(" in several"),
                        run(" runs.")
                    )),
                1,
            )
        },
        Case {
            rows: vec![
                (1, "- dot"),
                (1, "  - deeper"),
                (1, "- by style"),
                (1, "1. one"),
                (1, "2. two"),
                (1, "   1. inner"),
                (1, "3. three"),
            ],
            ..case(
                "docx: lists",
                &(list("1", 0, "dot")
                    + &list("1", 1, "deeper")
                    + &styled("Lijst", "by style")
                    + &p("", "between")
                    + &list("2", 0, "one")
                    + &list("2", 0, "two")
                    + &list("2", 1, "inner")
                    + &list("2", 0, "three")),
                1,
            )
        },
        Case {
            rows: vec![(1, "| Fruit | Price |"), (1, "| --- | --- |"), (1, "| Quince | 2.50 |")],
            phrases: vec![(1, "| Quince | 2.50 |\n\nBehind it.")],
            ..case(
                "docx: a table",
                &(table(&[&["Fruit", "Price"], &["Quince", "2.50"]]) + &p("", "Behind it.")),
                1,
            )
        },
        Case {
            rows: vec![
                (1, "| wide |  | end |"),
                (1, "| tall | b\\|c | outer inner |"),
                (1, "|  | e | f |"),
            ],
            ..case("docx: merged cells and a table in a cell", &merged, 1)
        },
        Case {
            phrases: vec![(1, "First page."), (2, "Second page."), (3, "Third page.")],
            ..case(
                "docx: pages where the author broke them",
                &(p("", "First page.")
                    + &format!("<w:p>{page}{}</w:p>", run("Second page."))
                    + &p("<w:pageBreakBefore/>", "Third page.")),
                3,
            )
        },
        Case {
            phrases: vec![
                (1, "begins on the first"),
                (2, "page and ends on the second."),
                (3, "A page that the author broke."),
            ],
            ..case(
                "docx: pages where Word broke them",
                &(format!(
                    "<w:p>{}{rendered}{}</w:p>",
                    run("A sentence begins on the first "),
                    run("page and ends on the second.")
                ) + &format!(
                    "<w:p>{page}</w:p><w:p>{rendered}{}</w:p>",
                    run("A page that the author broke.")
                )),
                3,
            )
        },
        Case {
            phrases: vec![(1, "Known[^2] to all."), (1, "[^2]: Said in a note.")],
            ..case(
                "docx: notes",
                &format!(
                    "<w:p>{}<w:r><w:footnoteReference w:id=\"2\"/></w:r>{}</w:p>",
                    run("Known"),
                    run(" to all.")
                ),
                1,
            )
        },
        Case {
            phrases: vec![(1, "The new word stands.")],
            lacks: vec!["old", "unseen", "PAGE"],
            ..case(
                "docx: what was deleted, is hidden or is an instruction",
                &format!(
                    "<w:p>{}<w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins>{}</w:ins><w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>{}</w:p>",
                    run("The "),
                    run("new"),
                    run(" word stands.")
                ),
                1,
            )
        },
        Case {
            phrases: vec![(1, "Around a box.\n\nIn a box.")],
            rows: vec![(1, "In a box.")],
            ..case(
                "docx: a text box is read once",
                &format!(
                    "<w:p>{}<w:r><mc:AlternateContent><mc:Choice Requires=\"wps\"><w:drawing><wps:txbx><w:txbxContent>{}</w:txbxContent></wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent>{}</w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>",
                    run("Around a box."),
                    p("", "In a box."),
                    p("", "In a box.")
                ),
                1,
            )
        },
        Case {
            rows: vec![(1, "| kept | 10^6 |"), (1, "| around In a box. | here |")],
            lacks: vec!["old", "gone"],
            ..case(
                "docx: rows deleted, words moved away, powers and boxes in a table",
                &format!(
                    "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc><w:p>{}<w:r><w:rPr><w:vertAlign w:val=\"superscript\"/></w:rPr><w:t>6</w:t></w:r></w:p></w:tc></w:tr><w:tr><w:trPr><w:del/></w:trPr><w:tc>{}</w:tc></w:tr><w:tr><w:tc><w:p>{}<w:r><w:txbxContent>{}</w:txbxContent></w:r></w:p></w:tc><w:tc><w:moveFrom>{}</w:moveFrom>{}</w:tc></w:tr></w:tbl>",
                    p("", "kept"),
                    run("10"),
                    p("", "old"),
                    run("around"),
                    p("", "In a box."),
                    p("", "gone"),
                    p("", "here")
                ),
                1,
            )
        },
        Case {
            phrases: vec![(1, "Then a/(b+c)=x^2+√y_i∑_1^n(k) holds.")],
            ..case(
                "docx: formulas",
                &{
                    let m = |name: &str, inner: &str| format!("<w:{name}>{inner}</w:{name}>");
                    let fraction = m("f", &(m("num", &run("a")) + &m("den", &run("b+c"))));
                    let power = m("sSup", &(m("e", &run("x")) + &m("sup", &run("2"))));
                    let root = m("rad", &m("e", &run("y"))) + &m("sSub", &m("sub", &run("i")));
                    let sum = "<w:naryPr><w:chr w:val=\"∑\"/></w:naryPr>".to_owned()
                        + &m("sub", &run("1"))
                        + &m("sup", &run("n"))
                        + &m("d", &m("e", &run("k")));
                    format!(
                        "<w:p>{}{fraction}{}{power}{}{root}{}{}</w:p>",
                        run("Then "),
                        run("="),
                        run("+"),
                        m("nary", &sum),
                        run(" holds.")
                    )
                },
                1,
            )
        },
        Case {
            phrases: vec![(1, "Line one\nline two"), (1, "In a control.")],
            ..case(
                "docx: line breaks and content controls",
                &format!(
                    "<w:p>{}<w:r><w:br/></w:r>{}</w:p><w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>",
                    run("Line one"),
                    run("line two"),
                    p("", "In a control.")
                ),
                1,
            )
        },
    ]
}

fn slides() -> Vec<Case> {
    let grid = "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>Fruit</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>Price</a:t></a:r></a:p></a:txBody></a:tc></a:tr><a:tr><a:tc><a:txBody><a:p><a:r><a:t>Quince</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>2.50</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>";
    let first = shape("body", &[(0, "top"), (1, "inner")])
        + &shape("title", &[(0, "Opening")])
        + &shape("sldNum", &[(0, "1")]);
    let second = shape("title", &[(0, "Numbers")])
        + grid
        + &format!("<p:grpSp>{}</p:grpSp>", shape("", &[(0, "In a group")]));
    let third = shape("title", &[(0, "Kept back")]);
    let fourth = "<p:graphicFrame><a:graphicData><p:relIds r:dm=\"rId8\"/></a:graphicData></p:graphicFrame><p:graphicFrame><a:graphicData><p:chart r:id=\"rId9\"/></a:graphicData></p:graphicFrame>";
    let slides =
        [("", first.as_str()), ("", second.as_str()), ("show=\"0\"", third.as_str()), ("", fourth)];
    vec![Case {
        name: "pptx: slides in order, tables, diagrams, charts, notes where they belong",
        bytes: pptx(&slides, &[(1, "Say hello."), (2, "Mention the price.")]),
        format: "pptx",
        pages: 4,
        counted: true,
        headings: vec![(1, "# Opening"), (2, "# Numbers")],
        rows: vec![
            (1, "- top"),
            (1, "  - inner"),
            (2, "| Quince | 2.50 |"),
            (1, "Notes: Say hello."),
            (2, "Notes: Mention the price."),
            (4, "- Gather"),
            (4, "- Sort"),
            (4, "|  | Tons |"),
            (4, "| South | 2.5 |"),
        ],
        phrases: vec![(2, "In a group"), (4, "Harvest")],
        lacks: vec!["Kept back", "77"],
        page_metadata: vec![(1, "title", "Opening"), (2, "title", "Numbers")],
        ..Case::default()
    }]
}

fn sheets() -> Vec<Case> {
    let shared = |place: &str, n: usize| format!("<c r=\"{place}\" t=\"s\"><v>{n}</v></c>");
    let first = format!(
        "<row r=\"1\">{}{}</row><row r=\"2\">{}<c r=\"B2\"><v>2.5</v></c><c r=\"C2\" s=\"1\"><v>45351</v></c></row>",
        shared("A1", 0),
        shared("B1", 1),
        shared("A2", 2)
    );
    let blocks = row(1, &["Stock of the garden"])
        + &row(2, &["Tree", "Height"])
        + &row(3, &["Oak", "12"])
        + &row(6, &["Shrub", "Width", "Year"])
        + &row(7, &["Box", "3", "1999"]);
    let far = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"XFD1048576\" t=\"inlineStr\"><is><t>far away</t></is></c></row>";
    let formats = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>Quince</t></is></c><c r=\"B1\" s=\"3\"><v>1234.5</v></c><c r=\"C1\" s=\"2\"><v>0.125</v></c></row><row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>Medlar</t></is></c><c r=\"B2\" s=\"3\"><v>-3</v></c><c r=\"C2\"><v>0.1</v></c></row>";
    let book = |name, sheets: &[(&str, &str, &str)], pages| Case {
        name,
        bytes: xlsx(sheets),
        format: "xlsx",
        pages,
        counted: true,
        ..Case::default()
    };
    vec![
        Case {
            headings: vec![(1, "# Prices")],
            rows: vec![(1, "| Fruit | Price |  |"), (1, "| Quince | 2.5 | 2024-02-29 |")],
            lacks: vec!["unseen", "deep"],
            page_metadata: vec![(1, "sheet", "Prices"), (2, "sheet", "Empty")],
            ..book(
                "xlsx: shared strings, dates, hidden sheets",
                &[
                    ("Prices", "", &first),
                    ("H", "state=\"hidden\"", &row(1, &["unseen", "x"])),
                    ("V", "state=\"veryHidden\"", &row(1, &["deep", "x"])),
                    ("Empty", "", ""),
                ],
                2,
            )
        },
        Case {
            headings: vec![(1, "# Garden")],
            rows: vec![
                (1, "Stock of the garden"),
                (1, "| Tree | Height |"),
                (1, "| Shrub | Width | Year |"),
                (1, "| Box | 3 | 1999 |"),
            ],
            ..book("xlsx: several tables on a sheet", &[("Garden", "", &blocks)], 1)
        },
        Case {
            rows: vec![(1, "| Quince | 1,234.50 € | 12.50% |"), (1, "| Medlar | -3.00 € | 0.1 |")],
            ..book(
                "xlsx: currencies and percentages as they are shown",
                &[("Prices", "", formats)],
                1,
            )
        },
        Case {
            headings: vec![(1, "# Prices")],
            rows: vec![(1, "| Fruit | Price | Since |"), (1, "| Quince | 2.5 | 2024-02-29 |")],
            lacks: vec!["unseen"],
            page_metadata: vec![(1, "sheet", "Prices")],
            name: "xlsb: a binary workbook",
            bytes: xlsb(&[
                ("Prices", 0, &[&["Fruit", "Price", "Since"], &["Quince", "2.5", "#45351"]]),
                ("H", 1, &[&["unseen", "x"]]),
            ]),
            format: "xlsb",
            ..book("", &[], 1)
        },
        Case {
            phrases: vec![(1, "far away")],
            ..book("xlsx: a cell in the last corner", &[("Wide", "", far)], 1)
        },
        Case {
            name: "xls: a workbook of before 2007",
            bytes: include_bytes!("../files/old.xls").to_vec(),
            format: "xls",
            pages: 1,
            counted: true,
            headings: vec![(1, "# Old prices")],
            rows: vec![(1, "| Fruit | Price |"), (1, "| Quince | 2.5 |"), (1, "| Medlar | 3 |")],
            lacks: vec!["unseen"],
            ..Case::default()
        },
    ]
}

fn open_document() -> Vec<Case> {
    let text = "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:h text:outline-level=\"1\">First</text:h><text:p>A  line<text:s text:c=\"2\"/>with<text:line-break/>a break<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Said in a note.</text:p></text:note-body></text:note>.</text:p><text:list><text:list-item><text:p>dot</text:p><text:list><text:list-item><text:p>deeper</text:p></text:list-item></text:list></text:list-item></text:list><text:list text:style-name=\"N\"><text:list-item><text:p>one</text:p></text:list-item><text:list-item><text:p>two</text:p></text:list-item></text:list><table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Fruit</text:p></table:table-cell><table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row></table:table-header-rows><table:table-row><table:table-cell><text:p>Quince</text:p></table:table-cell><table:table-cell><text:p>2.50</text:p></table:table-cell></table:table-row></table:table><text:p>It goes <text:soft-page-break/>over.</text:p><text:p text:style-name=\"B\">A new page.</text:p>";
    let styles = "<text:list-style style:name=\"N\"><text:list-level-style-number text:level=\"1\" style:num-format=\"1\"/></text:list-style><style:style style:name=\"B\"><style:paragraph-properties fo:break-before=\"page\"/></style:style><style:style style:name=\"hid\"><style:table-properties table:display=\"false\"/></style:style>";
    let sheets = "<table:table table:name=\"Prices\"><table:table-row><table:table-cell><text:p>Fruit</text:p></table:table-cell><table:table-cell><text:p>Price</text:p></table:table-cell><table:table-cell table:number-columns-repeated=\"16382\"/></table:table-row><table:table-row><table:table-cell><text:p>Quince</text:p></table:table-cell><table:table-cell office:value-type=\"float\" office:value=\"2.5\"><text:p>2,50 €</text:p></table:table-cell></table:table-row><table:table-row table:number-rows-repeated=\"1048574\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row></table:table><table:table table:name=\"H\" table:style-name=\"hid\"><table:table-row><table:table-cell><text:p>unseen</text:p></table:table-cell></table:table-row></table:table>";
    let slides = "<draw:page draw:name=\"p1\"><draw:frame presentation:class=\"title\"><draw:text-box><text:p>Opening</text:p></draw:text-box></draw:frame><draw:frame presentation:class=\"outline\"><draw:text-box><text:list><text:list-item><text:p>top</text:p></text:list-item></text:list></draw:text-box></draw:frame><presentation:notes><draw:frame presentation:class=\"notes\"><draw:text-box><text:p>Say hello.</text:p></draw:text-box></draw:frame></presentation:notes></draw:page><draw:page/>";
    vec![
        Case {
            name: "odt: headings, lists, tables, notes, pages",
            bytes: odf("text", styles, text),
            format: "odt",
            pages: 3,
            counted: true,
            headings: vec![(1, "# First")],
            rows: vec![
                (1, "- dot"),
                (1, "  - deeper"),
                (1, "1. one"),
                (1, "2. two"),
                (1, "| Fruit | Price |"),
                (1, "| Quince | 2.50 |"),
            ],
            phrases: vec![
                (1, "A line  with\na break[^1]."),
                (1, "[^1]: Said in a note."),
                (1, "It goes"),
                (2, "over."),
                (3, "A new page."),
            ],
            lacks: vec!["gone"],
            metadata: vec![("title", "Open title"), ("author", "An author")],
            ..Case::default()
        },
        Case {
            name: "ods: sheets, repeated cells, hidden sheets",
            bytes: odf("spreadsheet", styles, sheets),
            format: "ods",
            pages: 1,
            counted: true,
            headings: vec![(1, "# Prices")],
            rows: vec![(1, "| Fruit | Price |"), (1, "| Quince | 2.5 |")],
            lacks: vec!["unseen"],
            page_metadata: vec![(1, "sheet", "Prices")],
            ..Case::default()
        },
        Case {
            name: "odp: slides and notes",
            bytes: odf("presentation", "", slides),
            format: "odp",
            pages: 2,
            counted: true,
            headings: vec![(1, "# Opening")],
            rows: vec![(1, "- top"), (1, "Notes: Say hello.")],
            ..Case::default()
        },
    ]
}

fn books() -> Vec<Case> {
    let chapters = [
        (
            "one.xhtml",
            "The first",
            "<h1>One</h1><p>It was a dark\n and stormy night.</p><table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>",
        ),
        ("two two.xhtml", "The second", "<h2>Two</h2><p>The rain fell<br/>in torrents.</p>"),
    ];
    [(2, "epub: version 2"), (3, "epub: version 3")]
        .map(|(version, name)| Case {
            name,
            bytes: epub(version, &chapters),
            format: "epub",
            pages: 2,
            counted: true,
            headings: vec![(1, "# One"), (2, "## Two")],
            rows: vec![(1, "| a | b |"), (1, "| c | d |")],
            phrases: vec![
                (1, "It was a dark and stormy night."),
                (2, "The rain fell\nin torrents."),
            ],
            metadata: vec![("title", "A book"), ("author", "An author"), ("language", "en")],
            page_metadata: vec![(1, "title", "The first"), (2, "title", "The second")],
            ..Case::default()
        })
        .to_vec()
}

fn encoded(label: &str, text: &str) -> Vec<u8> {
    encoding_rs::Encoding::for_label(label.as_bytes())
        .expect("a charset")
        .encode(text)
        .0
        .into_owned()
}

fn text() -> Vec<Case> {
    let case =
        |name, format, bytes: Vec<u8>| Case { name, format, bytes, pages: 1, ..Case::default() };
    let wide: Vec<u8> = "Line one\r\nline two: žluťoučký kůň\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut notebook = String::new();
    let _ = write!(
        notebook,
        r##"{{"cells":[{{"cell_type":"markdown","source":["# Study\n","Text of\n","it."]}},{{"cell_type":"code","source":"print(1)","outputs":[{{"output_type":"stream","text":["1\n"]}}]}},{{"cell_type":"raw","source":"| a | b |\n| --- | --- |\n| c | d |"}}],"metadata":{{"language_info":{{"name":"python"}}}},"nbformat":4,"nbformat_minor":5}}"##
    );
    vec![
        Case { phrases: vec![(1, "grüßt\nund geht")], metadata: vec![("charset", "UTF-8")], ..case("plain: UTF-8 with a mark", "plain", [b"\xef\xbb\xbf", "Er grüßt\r\nund geht".as_bytes()].concat()) },
        Case { phrases: vec![(1, "Line one\nline two: žluťoučký kůň")], ..case("plain: UTF-16 without a mark", "plain", wide) },
        Case { phrases: vec![(1, "Съешь ещё этих мягких\nфранцузских булок")], ..case("plain: a charset that is guessed", "plain", encoded("windows-1251", "Съешь ещё этих мягких\nфранцузских булок, да выпей же чаю.")) },
        Case { phrases: vec![(1, "吾輩は猫である。\n名前はまだ無い。")], ..case("plain: Shift_JIS", "plain", encoded("shift_jis", "吾輩は猫である。\n名前はまだ無い。どこで生れたかとんと見当がつかぬ。")) },
        Case { arguments: vec!["--type", "text/plain; charset=iso-8859-2"], phrases: vec![(1, "zażółć\ngęślą")], ..case("plain: a declared charset", "plain", encoded("iso-8859-2", "zażółć\ngęślą jaźń")) },
        Case { pages: 2, counted: true, phrases: vec![(1, "First"), (2, "Second\npage")], ..case("plain: form feeds", "plain", b"First\x0cSecond\npage\x0c".to_vec()) },
        Case { headings: vec![(1, "# Head")], rows: vec![(1, "| a | b |")], phrases: vec![(1, "one\ntwo")], metadata: vec![("title", "From the matter")], ..case("markdown", "markdown", b"---\ntitle: From the matter\n---\n# Head\n\none\ntwo\n\n| a | b |\n| --- | --- |\n| c | d |\n\n## More\n".to_vec()) },
        Case { rows: vec![(1, "| name | note |"), (1, "| Ann | says \"hi\", in two lines |"), (1, "| Bob | x\\|y |")], ..case("csv: quoted cells", "csv", b"name,note\r\nAnn,\"says \"\"hi\"\", in\ntwo lines\"\r\nBob,x|y\r\n".to_vec()) },
        Case { rows: vec![(1, "| Name | Preis |"), (1, "| Müller | 2,50 |")], ..case("csv: semicolons and another charset", "csv", encoded("windows-1252", "Name;Preis\nMüller;2,50\nSchäfer;3,00\n")) },
        Case { rows: vec![(1, "| a | b | c |"), (1, "| 1 | 2 | 3 |")], arguments: vec!["--name", "x.tsv"], ..case("csv: tabs", "csv", b"a\tb\tc\n1\t2\t3\n".to_vec()) },
        Case { headings: vec![(1, "# Study")], rows: vec![(1, "```python"), (1, "print(1)"), (1, "| c | d |")], phrases: vec![(1, "Text of\nit.")], ..case("ipynb", "ipynb", notebook.into_bytes()) },
        Case { pages: 2, counted: true, headings: vec![(1, "# Head")], rows: vec![(1, "| a | b |"), (1, "- entry")], phrases: vec![(1, "Café at the end of the street"), (2, "Пр next")], metadata: vec![("title", "Small")], lacks: vec!["running"], ..case("rtf", "rtf", br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}{\stylesheet{\s1 heading 1;}}{\info{\title Small}}{\header running}\pard\s1 Head\par\pard Caf\'e9 at the end
 of the street\par{\listtext\'b7\tab}entry\par\trowd\pard\intbl a\cell b\cell\row\trowd\pard\intbl c\cell d\cell\row\pard\page{\f1\'cf\'f0} next\par}".to_vec()) },
        Case { rows: vec![(1, "ValueError: no tide")], ..case("ipynb: what failed", "ipynb", br#"{"cells":[{"cell_type":"code","source":"tide()","outputs":[{"output_type":"error","ename":"ValueError","evalue":"no tide","traceback":["\u001b[0;31m"]}]}],"metadata":{},"nbformat":4,"nbformat_minor":5}"#.to_vec()) },
        Case { phrases: vec![(1, "We meet at the harbour at noon.\n\nToo late.")], lacks: vec!["00:", "<i>"], ..case("srt", "srt", b"1\n00:00:01,000 --> 00:00:02,000\nWe <i>meet</i> at\nthe harbour\n\n2\n00:00:02,100 --> 00:00:04,000\nat noon.\n\n3\n00:01:00,000 --> 00:01:02,000\nToo late.\n".to_vec()) },
        Case { phrases: vec![(1, "Before and behind an empty line. On.")], ..case("srt: an empty line within", "srt", b"1\n00:00:01,000 --> 00:00:02,000\nBefore and\n\nbehind an empty line.\n\n2\n00:00:02,100 --> 00:00:04,000\nOn.\n".to_vec()) },
        Case { rows: vec![(1, "red"), (1, "100%")], lacks: vec!["[31m", "50%"], ..case("ipynb: colours and lines written over", "ipynb", br#"{"nbformat":4,"metadata":{},"cells":[{"cell_type":"code","source":"x","outputs":[{"output_type":"stream","text":["\u001b[31mred\u001b[0m\n","50%\r100%\n"]}]}]}"#.to_vec()) },
        Case { phrases: vec![(1, "It stays here.")], lacks: vec!["gone"], ..case("rtf: what was deleted", "rtf", br"{\rtf1\ansi\pard It {\deleted gone }stays here.\par}".to_vec()) },
        Case { headings: vec![(1, "# Head[^1]")], rows: vec![(1, "[^1]: In two lines."), (1, "| a[^2] | b |")], ..case("rtf: notes", "rtf", br"{\rtf1\ansi{\stylesheet{\s1 heading 1;}}\pard\s1 Head{\super\chftn{\footnote\pard\plain In two\par lines.}}\par\trowd\pard\intbl a{\footnote\pard Of a cell.}\cell b\cell\row\pard Behind.\par}".to_vec()) },
        Case { phrases: vec![(1, "It's \"so\" &lt; on.")], ..case("vtt: names of characters", "vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n&lrm;It&#39;s &quot;so&quot; &amp;lt; on.\n".to_vec()) },
        Case { phrases: vec![(1, "Ann: Hello & good morning."), (1, "Bob: Hi.")], lacks: vec!["-->", "STYLE"], ..case("vtt", "vtt", b"WEBVTT\n\nSTYLE\n::cue{}\n\n00:01.000 --> 00:02.000\n<v Ann>Hello &amp; good\nmorning.</v>\n\n00:02.000 --> 00:03.000\n<v Bob>Hi.\n".to_vec()) },
    ]
}

fn markup() -> Vec<Case> {
    let case =
        |name, bytes: Vec<u8>| Case { name, format: "html", bytes, pages: 1, ..Case::default() };
    vec![
        Case {
            headings: vec![(1, "# Main head"), (1, "## Second")],
            rows: vec![(1, "| Fruit | Price |"), (1, "| Quince | 2.50 |"), (1, "- dot"), (1, "   1. one"), (1, "SELECT 1;")],
            phrases: vec![(1, "A sentence in two lines.")],
            lacks: vec!["menu", "script", "unseen"],
            metadata: vec![("title", "Page title"), ("language", "en"), ("author", "An author")],
            ..case("html: headings, lists, tables, code", b"<!DOCTYPE html><html lang=en><head><title>Page title</title><meta name=author content='An author'><script>script()</script></head><body><nav>menu</nav><h1>Main <em>head</em></h1><p>A sentence\n in two lines.<p hidden>unseen</p><h2>Second</h2><ul><li>dot<ol><li>one</ol></ul><table><thead><tr><th>Fruit<th>Price</thead><tr><td>Quince<td>2.50</table><pre>SELECT 1;</pre>".to_vec())
        },
        Case { headings: vec![(1, "# Grüße")], phrases: vec![(1, "Füße")], metadata: vec![("charset", "windows-1252")], ..case("html: a declared charset", encoded("windows-1252", "<html><head><meta charset=iso-8859-1></head><h1>Grüße</h1><p>Füße\n</p>")) },
        Case { headings: vec![(1, "# Grüße")], phrases: vec![(1, "Füße")], ..case("html: UTF-8 that is declared and is not", encoded("windows-1252", "<html><head><meta charset=utf-8></head><h1>Grüße</h1><p>Füße, schöne Grüße aus München</p>")) },
        Case { headings: vec![(1, "# Prices")], rows: vec![(1, "| 1 | 10^6 |"), (1, "5. five"), (1, "6. six")], phrases: vec![(1, "It has 10^-3 and a note1.")], lacks: vec!["Edit", "unseen", "icon"], ..case("html: unseen parts of heads and cells, powers, numbers of entries", "<html><h1>Prices <button>Edit</button><svg><title>icon</title></svg></h1><div style='Display : none'>unseen</div><table><tr><th>a<th>b<tr><td>1<span hidden>unseen</span><td>10<sup>6</sup></table><p>It has 10<sup>-3</sup> and a note<sup>1</sup>.</p><ol><li value=5>five<li>six</ol>".as_bytes().to_vec()) },
        Case { rows: vec![(1, "| a | b |  |"), (1, "|  | c | d |")], ..case("html: cells over rows and columns", b"<table><tr><td rowspan=2>a<td colspan=2>b<tr><td>c<td>d</table>".to_vec()) },
        Case { headings: vec![(1, "# In a cell")], phrases: vec![(1, "Left side.\n\nRight side.")], ..case("html: a table that lays out a page", b"<html><table><tr><td><h1>In a cell</h1><p>Left side.</p><td><table><tr><td>Right side.</table></table>".to_vec()) },
        Case { headings: vec![(1, "# Tides")], rows: vec![(1, "| high | low |")], phrases: vec![(1, "Seen.")], lacks: vec!["¶", "unseen"], ..case("html: what readers do not see", "<h1 id=t>Ti&shy;des<a class=headerlink href='#t'>¶</a></h1><p style='Display : none'>unseen</p><p>Seen.<span style='visibility:hidden'>unseen</span></p><table><tr><td>high<span style='display:none'>unseen</span><td>low</table>".as_bytes().to_vec()) },
        Case { phrases: vec![(1, "café crème")], metadata: vec![("charset", "windows-1252")], ..case("html: declares UTF-8 and is not", encoded("windows-1252", "<html><head><meta charset=utf-8></head><p>A café crème, and a second one.")) },
        Case { headings: vec![(1, "# XHTML")], phrases: vec![(1, "two words")], ..case("html: XHTML with a declaration", b"<?xml version='1.0'?>\n<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>XHTML</h1><p>two\nwords</p></body></html>".to_vec()) },
    ]
}

fn mail() -> Vec<Case> {
    let case = |name, format, text: &str| Case {
        name,
        format,
        bytes: text.replace('\n', "\r\n").into_bytes(),
        pages: 1,
        ..Case::default()
    };
    let head =
        "From: Ann <ann@example.org>\nTo: bob@example.org\nDate: Fri, 01 Mar 2024 10:00:00 +0100\n";
    let mixed = format!(
        "{head}Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: multipart/alternative; boundary=C\n\n--C\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nThe text of the let=\nter, f=FCr alle.\n--C\nContent-Type: text/html\n\n<p>Not this.</p>\n--C--\n--B\nContent-Type: application/pdf; name=plan.pdf\nContent-Disposition: attachment; filename=plan.pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n--B--\n"
    );
    let html = format!(
        "{head}Subject: Markup\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPGgyPkhlYWQ8L2gyPjx0YWJsZT48dHI+PHRkPmE8dGQ+Yjx0cj48dGQ+Yzx0ZD5kPC90YWJsZT4=\n"
    );
    let empty = format!(
        "{head}Subject: Only markup\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=C\n\n--C\nContent-Type: text/plain\n\n \n--C\nContent-Type: text/html\n\n<p>The body is here.</p>\n--C--\n"
    );
    let undeclared = format!("{head}Subject: Grüße\n\nSchöne Grüße aus Köln.\n");
    let plain = format!("{head}Subject: Plain\n\nOne line\nand another.\n");
    let forwarded = format!(
        "{head}Subject: Fwd\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/plain; format=flowed\n\nIt goes \non here,\n and ends.\n> He \n> wrote.\n-- \nAnn\n--B\nContent-Type: message/rfc822\n\nFrom: carl@example.org\nSubject: Tides\n\nThe tide is late.\n--B--\n"
    );
    let mailbox = format!(
        "From ann@example.org Fri Mar  1 10:00:00 2024\n{plain}\n>From here on\n\nFrom bob@example.org Fri Mar  1 11:00:00 2024\nFrom: bob@example.org\nSubject: Answer\n\nYes.\n"
    );
    vec![
        Case {
            headings: vec![(1, "# Grüße")],
            phrases: vec![
                (1, "The text of the letter, für alle."),
                (1, "- plan.pdf (application/pdf, 4 bytes)"),
                (
                    1,
                    "From: Ann <ann@example.org>\nTo: bob@example.org\nDate: 2024-03-01T10:00:00+01:00",
                ),
            ],
            lacks: vec!["Not this", "JVBER"],
            metadata: vec![("title", "Grüße"), ("author", "Ann <ann@example.org>")],
            ..case("eml: parts, charsets, attachments", "eml", &mixed)
        },
        Case {
            headings: vec![(1, "# Markup"), (1, "## Head")],
            rows: vec![(1, "| a | b |"), (1, "| c | d |")],
            ..case("eml: HTML alone", "eml", &html)
        },
        Case {
            phrases: vec![(1, "The body is here.")],
            ..case("eml: an empty alternative", "eml", &empty)
        },
        Case {
            headings: vec![(1, "# Grüße")],
            phrases: vec![(1, "Schöne Grüße aus Köln.")],
            ..Case {
                bytes: encoded("windows-1252", &undeclared),
                ..case("eml: a charset that is not declared", "eml", "")
            }
        },
        Case {
            headings: vec![(1, "# Plain")],
            phrases: vec![(1, "One line\nand another.")],
            ..case("eml: plain", "eml", &plain)
        },
        Case {
            phrases: vec![(1, "Words of the other part.")],
            ..case(
                "eml: an empty text beside HTML",
                "eml",
                &format!(
                    "{head}Subject: Stub\nContent-Type: multipart/alternative; boundary=B\n\n--B\nContent-Type: text/plain\n\n\n--B\nContent-Type: text/html\n\n<p>Words of the other part.</p>\n--B--\n"
                ),
            )
        },
        Case {
            headings: vec![(1, "# Café")],
            phrases: vec![(1, "Deux crèmes brûlées.")],
            bytes: encoded(
                "windows-1252",
                "From: a@example.org\nTo: b@example.org\nSubject: Café\n\nDeux crèmes brûlées.\n",
            ),
            ..case("eml: no charset is named", "eml", "")
        },
        Case {
            headings: vec![(1, "# Fwd"), (1, "## Tides")],
            phrases: vec![
                (1, "It goes on here,\nand ends.\n> He wrote.\n--"),
                (1, "From: carl@example.org\n\nThe tide is late."),
            ],
            metadata: vec![("title", "Fwd")],
            ..case("eml: flowed lines, a message that is forwarded", "eml", &forwarded)
        },
        Case {
            pages: 2,
            counted: true,
            headings: vec![(1, "# Plain"), (2, "# Answer")],
            phrases: vec![(1, "One line\nand another."), (1, "\nFrom here on"), (2, "Yes.")],
            page_metadata: vec![(2, "subject", "Answer"), (2, "from", "bob@example.org")],
            ..case("mbox: a page for each message", "mbox", &mailbox)
        },
    ]
}
