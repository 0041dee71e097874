//! Files that are refused, and by which class.
use super::pdf::{Font, Pdf};
use super::zipped::{docx, epub, odf, p, xlsx, zipped};

/// A file with arguments, and the class of its failure.
pub struct Refused {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub arguments: Vec<&'static str>,
    pub class: &'static str,
}

fn refused(name: &'static str, class: &'static str, bytes: Vec<u8>) -> Refused {
    Refused { name, bytes, arguments: Vec::new(), class }
}

fn with(arguments: &[&'static str], refused: Refused) -> Refused {
    Refused { arguments: arguments.to_vec(), ..refused }
}

/// All of them.
pub fn failures() -> Vec<Refused> {
    [files(), bombs()].into_iter().flatten().collect()
}

fn files() -> Vec<Refused> {
    let mut scan = Pdf::new();
    let mut stamped = Pdf::new();
    let mut text = Pdf::new();
    for _ in 0..3 {
        scan.page().picture();
        stamped.page().picture().line(Font::Text, 6.0, 10.0, 5.0, "Scanned by a machine");
        text.page().lines(72.0, 700.0, &["Some text on a page."]);
    }
    let mut blank = Pdf::new();
    blank.page();
    let whole = docx(&p("", "Some text."));
    let wide: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let compound = |inside: &[u8]| {
        [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[0; 600][..], inside, &[0; 600]].concat()
    };
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        refused("pdf: scanned pages", "no_text", scan.build()),
        refused("pdf: scanned pages with a stamp", "no_text", stamped.build()),
        refused("pdf: a blank page", "no_text", blank.build()),
        refused(
            "pdf: a password is missing",
            "encrypted",
            include_bytes!("../files/password.pdf").to_vec(),
        ),
        with(
            &["--password", "wrong"],
            refused(
                "pdf: a wrong password",
                "encrypted",
                include_bytes!("../files/password.pdf").to_vec(),
            ),
        ),
        refused(
            "pdf: nothing but its first line",
            "damaged",
            b"%PDF-1.7\nand nothing else".to_vec(),
        ),
        with(
            &["--max-pages", "2"],
            refused("pdf: more pages than allowed", "too_large", text.build()),
        ),
        with(
            &["--max-output", "20"],
            refused("pdf: more text than allowed", "too_large", text.build()),
        ),
        refused("docx: cut off", "damaged", whole[..whole.len() / 2].to_vec()),
        refused(
            "docx: broken XML",
            "damaged",
            zipped(&[("word/document.xml", "<w:document xmlns:w='w'><w:body></w:document>")]),
        ),
        refused("docx: no text", "no_text", docx(&p("", ""))),
        refused("office: encrypted", "encrypted", compound(&wide)),
        refused(
            "office: Word of before 2007",
            "unsupported",
            compound(&"WordDocument".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        ),
        refused(
            "odt: encrypted",
            "encrypted",
            zipped(&[
                ("mimetype", "application/vnd.oasis.opendocument.text"),
                ("META-INF/manifest.xml", "<m><encryption-data/></m>"),
                ("content.xml", "noise"),
            ]),
        ),
        refused("zip: of something else", "unsupported", zipped(&[("readme.txt", "hello")])),
        refused("png", "unsupported", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
        refused("bytes without a meaning", "unsupported", noise),
        refused("an empty file", "no_text", Vec::new()),
        refused("a file of blanks", "no_text", b" \n\t\n".to_vec()),
        refused(
            "ipynb: cut off",
            "damaged",
            br#"{"cells":[{"cell_type":"markdown","source":"x"}],"nbformat":4"#.to_vec(),
        ),
        with(
            &["--format", "docx"],
            refused("a format that it has not", "damaged", b"only words".to_vec()),
        ),
    ]
}

/// Files that are small and unfold.
fn bombs() -> Vec<Refused> {
    let many = |what: &str, count: usize| what.repeat(count);
    let deep = |open: &str, close: &str, depth: usize| many(open, depth) + &many(close, depth);
    // Each entity is ten of the one before.
    let laughs: String = (1..12)
        .map(|n| format!("<!ENTITY l{n} \"{}\">", many(&format!("&l{};", n - 1), 10)))
        .collect();
    let laughs = format!(
        "<!DOCTYPE package [<!ENTITY l0 \"ha\">{laughs}]><package><metadata>&l11;</metadata></package>"
    );
    let container =
        r#"<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>"#;
    let cells: String = (0..3000).map(|_| "<table:table-cell office:value-type=\"string\" table:number-columns-repeated=\"16384\"><text:p>0123456789</text:p></table:table-cell>").collect();
    let repeated = format!("<table:table><table:table-row>{cells}</table:table-row></table:table>");
    let loops = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>endobj\ntrailer<</Root 1 0 R>>".to_vec();
    vec![
        refused(
            "docx: a part of blanks",
            "too_large",
            docx(&format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", many(" ", 900 << 20 >> 2))),
        ),
        refused(
            "docx: elements in elements",
            "too_large",
            docx(&deep("<w:sdt>", "</w:sdt>", 5000)),
        ),
        refused(
            "odt: elements in elements",
            "too_large",
            odf("text", "", &deep("<text:section>", "</text:section>", 5000)),
        ),
        refused("xlsx: a sheet of blanks", "too_large", xlsx(&[("S", "", &many(" ", 256 << 20))])),
        with(
            &["--max-output", "10000000"],
            refused("ods: cells that repeat", "too_large", odf("spreadsheet", "", &repeated)),
        ),
        refused(
            "epub: entities of entities",
            "damaged",
            zipped(&[
                ("mimetype", "application/epub+zip"),
                ("META-INF/container.xml", container),
                ("a.opf", &laughs),
            ]),
        ),
        with(
            &["--max-output", "1000"],
            refused(
                "epub: more text than allowed",
                "too_large",
                epub(3, &[("a.xhtml", "A", &many("<p>words</p>", 1000))]),
            ),
        ),
        refused("rtf: groups in groups", "too_large", (many("{\\rtf1 ", 100_000)).into_bytes()),
        with(
            &["--max-output", "1000"],
            refused(
                "csv: more text than allowed",
                "too_large",
                many("a,b,c\n", 10_000).into_bytes(),
            ),
        ),
        with(
            &["--max-pages", "10"],
            refused("plain: a million pages", "too_large", many("x\u{c}", 1_000_000).into_bytes()),
        ),
        refused("pdf: a tree of pages that leads back", "too_large", loops),
    ]
}
