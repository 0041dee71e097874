//! Office files and books, written part by part.
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip file of these parts; one called `mimetype` is stored as it is.
pub fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    let parts: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
    zipped_bytes(&parts)
}

fn zipped_bytes(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        let method = if *name == "mimetype" {
            CompressionMethod::Stored
        } else {
            CompressionMethod::Deflated
        };
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method))
            .expect("a part");
        zip.write_all(content).expect("its content");
    }
    zip.finish().expect("a zip file").into_inner()
}

const W: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape""#;

/// A paragraph of one run, with what stands in its properties.
pub fn p(properties: &str, text: &str) -> String {
    format!(
        "<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>"
    )
}

/// The same in a style.
pub fn styled(style: &str, text: &str) -> String {
    p(&format!("<w:pStyle w:val=\"{style}\"/>"), text)
}

/// A table of plain cells.
pub fn table(rows: &[&[&str]]) -> String {
    let cell = |text: &&str| format!("<w:tc><w:tcPr/>{}</w:tc>", p("", text));
    let row = |row: &&[&str]| format!("<w:tr>{}</w:tr>", row.iter().map(cell).collect::<String>());
    format!("<w:tbl>{}</w:tbl>", rows.iter().map(row).collect::<String>())
}

/// A Word document with styles, two lists, a note, and running heads.
pub fn docx(body: &str) -> Vec<u8> {
    let styles = format!(
        r#"<w:styles {W}><w:style w:type="paragraph" w:styleId="Kop1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style><w:style w:styleId="Kop2"><w:name w:val="heading 2"/></w:style><w:style w:styleId="Own"><w:name w:val="Own head"/><w:basedOn w:val="Kop2"/></w:style><w:style w:styleId="Lijst"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style><w:style w:styleId="Title"><w:name w:val="Title"/></w:style></w:styles>"#
    );
    let level = |n: usize, format: &str| {
        format!(r#"<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{format}"/></w:lvl>"#)
    };
    let kinds = |id: usize, format: &str| {
        format!(
            r#"<w:abstractNum w:abstractNumId="{id}">{}{}</w:abstractNum>"#,
            level(0, format),
            level(1, format)
        )
    };
    let numbering = format!(
        r#"<w:numbering {W}>{}{}<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num></w:numbering>"#,
        kinds(0, "bullet"),
        kinds(1, "decimal")
    );
    let notes = format!(
        r#"<w:footnotes {W}><w:footnote w:type="separator" w:id="-1">{}</w:footnote><w:footnote w:id="2">{}</w:footnote></w:footnotes>"#,
        p("", "line"),
        p("", "Said in a note.")
    );
    let head = format!("<w:hdr {W}>{}</w:hdr>", p("", "RUNNING HEAD"));
    zipped(&[
        (
            "[Content_Types].xml",
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#,
        ),
        (
            "word/document.xml",
            &format!("<w:document {W}><w:body>{body}<w:sectPr/></w:body></w:document>"),
        ),
        ("word/styles.xml", &styles),
        ("word/numbering.xml", &numbering),
        ("word/footnotes.xml", &notes),
        ("word/header1.xml", &head),
        (
            "docProps/core.xml",
            r#"<c:coreProperties xmlns:c="x" xmlns:dc="y"><dc:title>Kept title</dc:title><dc:creator>An author</dc:creator></c:coreProperties>"#,
        ),
    ])
}

const A: &str = r#"xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;

/// A shape that fills a placeholder (or none), with lines and the level of each.
pub fn shape(kind: &str, lines: &[(usize, &str)]) -> String {
    let holder = if kind.is_empty() { String::new() } else { format!("<p:ph type=\"{kind}\"/>") };
    let line = |(level, text): &(usize, &str)| {
        format!("<a:p><a:pPr lvl=\"{level}\"/><a:r><a:t>{text}</a:t></a:r></a:p>")
    };
    let lines: String = lines.iter().map(line).collect();
    format!(
        "<p:sp><p:nvSpPr><p:cNvPr id=\"1\" name=\"s\"/><p:cNvSpPr/><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"
    )
}

/// Slides as the shapes on them and attributes; their files are numbered backwards, as after moving them.
pub fn pptx(slides: &[(&str, &str)], notes: &[(usize, &str)]) -> Vec<u8> {
    let count = slides.len();
    let mut parts: Vec<(String, String)> = Vec::new();
    let ids: String = (0..count)
        .map(|n| format!("<p:sldId id=\"{}\" r:id=\"rId{}\"/>", 256 + n, n + 1))
        .collect();
    parts.push((
        "ppt/presentation.xml".into(),
        format!("<p:presentation {A}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
    ));
    let relationship = |id: String, kind: &str, target: String| {
        format!(
            "<Relationship Id=\"{id}\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\"/>"
        )
    };
    let wrap = |inner: String| {
        format!(
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{inner}</Relationships>"
        )
    };
    let all = (0..count).map(|n| {
        relationship(format!("rId{}", n + 1), "slide", format!("slides/slide{}.xml", count - n))
    });
    parts.push(("ppt/_rels/presentation.xml.rels".into(), wrap(all.collect())));
    for (n, (attributes, shapes)) in slides.iter().enumerate() {
        let file = format!("slide{}.xml", count - n);
        parts.push((
            format!("ppt/slides/{file}"),
            format!(
                "<p:sld {A} {attributes}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
            ),
        ));
        let mut drawn = relationship("rId8".into(), "diagramData", "../diagrams/data1.xml".into())
            + &relationship("rId9".into(), "chart", "../charts/chart1.xml".into());
        if let Some((_, text)) = notes.iter().find(|(slide, _)| *slide == n + 1) {
            // Notes have numbers of their own.
            let target = format!("../notesSlides/notesSlide{}.xml", 50 + n);
            drawn += &relationship("rId1".into(), "notesSlide", target);
            let body = shape("body", &[(0, text)]) + &shape("sldNum", &[(0, "77")]);
            parts.push((
                format!("ppt/notesSlides/notesSlide{}.xml", 50 + n),
                format!("<p:notes {A}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:notes>"),
            ));
        }
        parts.push((format!("ppt/slides/_rels/{file}.rels"), wrap(drawn)));
    }
    let point = |text: &str| {
        format!("<p:pt><p:prSet/><p:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:t></p:pt>")
    };
    parts.push((
        "ppt/diagrams/data1.xml".into(),
        format!(
            "<p:dataModel {A}><p:ptLst>{}{}</p:ptLst></p:dataModel>",
            point("Gather"),
            point("Sort")
        ),
    ));
    let values = |kind: &str, values: &[&str]| {
        let points: String =
            values.iter().map(|v| format!("<p:pt><p:v>{v}</p:v></p:pt>")).collect();
        format!("<p:{kind}>{points}</p:{kind}>")
    };
    parts.push((
        "ppt/charts/chart1.xml".into(),
        format!(
            "<p:chartSpace {A}><p:chart><p:title><p:tx><p:rich><a:p><a:r><a:t>Harvest</a:t></a:r></a:p></p:rich></p:tx></p:title><p:ser>{}{}{}</p:ser></p:chart></p:chartSpace>",
            values("tx", &["Tons"]),
            values("cat", &["North", "South"]),
            values("val", &["1.5", "2.5"])
        ),
    ));
    let parts: Vec<(&str, &str)> =
        parts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    zipped(&parts)
}

/// Sheets: name, attributes in the workbook, rows as XML.
pub fn xlsx(sheets: &[(&str, &str, &str)]) -> Vec<u8> {
    const S: &str = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;
    let mut parts: Vec<(String, String)> = vec![("_rels/.rels".into(), r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#.into())];
    let entry = |(n, (name, attributes, _)): (usize, &(&str, &str, &str))| {
        format!("<sheet name=\"{name}\" sheetId=\"{0}\" r:id=\"rId{0}\" {attributes}/>", n + 1)
    };
    let entries: String = sheets.iter().enumerate().map(entry).collect();
    parts.push((
        "xl/workbook.xml".into(),
        format!("<workbook {S}><sheets>{entries}</sheets></workbook>"),
    ));
    let relationship = |n: usize, kind: &str, target: &str| {
        format!(
            "<Relationship Id=\"rId{n}\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\"/>"
        )
    };
    let mut all: String = (1..=sheets.len())
        .map(|n| relationship(n, "worksheet", &format!("worksheets/sheet{n}.xml")))
        .collect();
    all += &relationship(91, "sharedStrings", "sharedStrings.xml");
    all += &relationship(92, "styles", "styles.xml");
    parts.push(("xl/_rels/workbook.xml.rels".into(), format!("<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{all}</Relationships>")));
    parts.push(("xl/sharedStrings.xml".into(), format!("<sst {S}><si><t>Fruit</t></si><si><t>Price</t></si><si><r><t>Qui</t></r><r><t>nce</t></r></si></sst>")));
    parts.push(("xl/styles.xml".into(), format!("<styleSheet {S}><numFmts count=\"1\"><numFmt numFmtId=\"164\" formatCode=\"#,##0.00 [$€-407]\"/></numFmts><cellXfs count=\"4\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"10\"/><xf numFmtId=\"164\"/></cellXfs></styleSheet>")));
    for (n, (_, _, rows)) in sheets.iter().enumerate() {
        parts.push((
            format!("xl/worksheets/sheet{}.xml", n + 1),
            format!("<worksheet {S}><sheetData>{rows}</sheetData></worksheet>"),
        ));
    }
    parts.push(("[Content_Types].xml".into(), r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#.into()));
    let parts: Vec<(&str, &str)> =
        parts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    zipped(&parts)
}

/// A row of inline strings and numbers, from column A on.
pub fn row(number: usize, cells: &[&str]) -> String {
    let cell = |(n, text): (usize, &&str)| {
        let place = format!("{}{number}", char::from(b'A' + n as u8));
        match text.parse::<f64>() {
            Ok(value) => format!("<c r=\"{place}\"><v>{value}</v></c>"),
            Err(_) => format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
        }
    };
    let cells: String =
        cells.iter().enumerate().filter(|(_, text)| !text.is_empty()).map(cell).collect();
    format!("<row r=\"{number}\">{cells}</row>")
}

/// A binary workbook; a cell is text, a number, or with `#` before it the number of a day.
pub fn xlsb(sheets: &[(&str, u32, &[&[&str]])]) -> Vec<u8> {
    let wide = |text: &str| {
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut bytes = (units.len() as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes
    };
    let record = |kind: u16, data: &[u8]| {
        let mut bytes =
            if kind < 128 { vec![kind as u8] } else { vec![kind as u8 | 128, (kind >> 7) as u8] };
        bytes.extend([data.len() as u8 | 128, (data.len() >> 7) as u8]);
        bytes.extend(data);
        bytes
    };
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let (mut book, mut relationships) = (record(0x83, &[]), Vec::new());
    for (n, (name, state, rows)) in sheets.iter().enumerate() {
        let id = format!("rId{}", n + 1);
        let place = format!("worksheets/sheet{}.bin", n + 1);
        relationships.push(format!(
            "<Relationship Id=\"{id}\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"{place}\"/>"
        ));
        let number = (n as u32 + 1).to_le_bytes();
        book.extend(record(
            0x9c,
            &[&state.to_le_bytes()[..], &number, &wide(&id), &wide(name)].concat(),
        ));
        let mut sheet = [record(0x81, &[]), record(0x94, &[0; 16]), record(0x91, &[])].concat();
        for (row, cells) in rows.iter().enumerate() {
            sheet.extend(record(0, &[&(row as u32).to_le_bytes()[..], &[0; 21]].concat()));
            for (column, cell) in cells.iter().enumerate() {
                let place =
                    |style: u32| [(column as u32).to_le_bytes(), style.to_le_bytes()].concat();
                let real = |style, value: f64| {
                    record(5, &[place(style), value.to_le_bytes().to_vec()].concat())
                };
                sheet.extend(match (cell.strip_prefix('#'), cell.parse::<f64>()) {
                    (Some(day), _) => real(1, day.parse().unwrap()),
                    (None, Ok(value)) => real(0, value),
                    (None, Err(_)) => record(6, &[place(0), wide(cell)].concat()),
                });
            }
        }
        sheet.extend([record(0x92, &[]), record(0x82, &[])].concat());
        parts.push((format!("xl/{place}"), sheet));
    }
    book.extend([record(0x90, &[]), record(0x84, &[])].concat());
    parts.push(("xl/workbook.bin".into(), book));
    let format = |code: u16| record(0x2f, &[&[0, 0], &code.to_le_bytes()[..], &[0; 12]].concat());
    parts.push((
        "xl/styles.bin".into(),
        [record(0x269, &2_u32.to_le_bytes()), format(0), format(14)].concat(),
    ));
    parts.push(("xl/_rels/workbook.bin.rels".into(), format!("<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{}</Relationships>", relationships.concat()).into()));
    parts.push(("[Content_Types].xml".into(), r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/></Types>"#.into()));
    let parts: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zipped_bytes(&parts)
}

/// An `OpenDocument` file; `kind` is text, spreadsheet or presentation.
pub fn odf(kind: &str, styles: &str, body: &str) -> Vec<u8> {
    const N: &str = r#"xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0""#;
    zipped(&[
        ("mimetype", &format!("application/vnd.oasis.opendocument.{kind}")),
        (
            "content.xml",
            &format!(
                "<office:document-content {N}><office:automatic-styles>{styles}</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
            ),
        ),
        (
            "meta.xml",
            &format!(
                "<office:document-meta {N}><office:meta><dc:title>Open title</dc:title><meta:initial-creator>An author</meta:initial-creator></office:meta></office:document-meta>"
            ),
        ),
    ])
}

/// A book: chapters by file name, title and body, and the version whose table of contents it has.
pub fn epub(version: usize, chapters: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut parts: Vec<(String, String)> = vec![
        ("mimetype".into(), "application/epub+zip".into()),
        ("META-INF/container.xml".into(), r#"<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#.into()),
    ];
    let item = |(n, (file, ..)): (usize, &(&str, &str, &str))| {
        format!(
            "<item id=\"i{n}\" href=\"{}\" media-type=\"application/xhtml+xml\"/>",
            file.replace(' ', "%20")
        )
    };
    let items: String = chapters.iter().enumerate().map(item).collect();
    let spine: String = (0..chapters.len()).map(|n| format!("<itemref idref=\"i{n}\"/>")).collect();
    let contents = if version == 2 {
        r#"<item id="toc" href="toc.ncx" media-type="application/x-dtbncx+xml"/>"#
    } else {
        r#"<item id="toc" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>"#
    };
    parts.push(("OEBPS/book.opf".into(), format!("<package xmlns=\"http://www.idpf.org/2007/opf\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><metadata><dc:title>A book</dc:title><dc:creator>An author</dc:creator><dc:language>en</dc:language></metadata><manifest>{items}{contents}</manifest><spine>{spine}</spine></package>")));
    if version == 2 {
        let point = |(file, title, _): &(&str, &str, &str)| {
            format!(
                "<navPoint><navLabel><text>{title}</text></navLabel><content src=\"{file}\"/></navPoint>"
            )
        };
        let points: String = chapters.iter().map(point).collect();
        parts.push(("OEBPS/toc.ncx".into(), format!("<!DOCTYPE ncx PUBLIC \"-//NISO//DTD ncx 2005-1//EN\" \"x.dtd\"><ncx xmlns=\"http://www.daisy.org/z3986/2005/ncx/\"><navMap>{points}</navMap></ncx>")));
    } else {
        let point = |(file, title, _): &(&str, &str, &str)| {
            format!("<li><a href=\"{}\">{title}</a></li>", file.replace(' ', "%20"))
        };
        let points: String = chapters.iter().map(point).collect();
        parts.push(("OEBPS/nav.xhtml".into(), format!("<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><nav><ol>{points}</ol></nav></body></html>")));
    }
    for (file, _, body) in chapters {
        parts.push((format!("OEBPS/{file}"), format!("<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title/></head><body>{body}</body></html>")));
    }
    let parts: Vec<(&str, &str)> =
        parts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    zipped(&parts)
}
