//! PDF files, written object by object.
use std::fmt::Write;

/// A file that grows page by page.
#[derive(Default)]
pub struct Pdf {
    pages: Vec<Page>,
    info: String,
    labels: String,
    /// Behind the cross-reference table, or instead of it.
    pub tail: Tail,
}

#[derive(Default, PartialEq)]
pub enum Tail {
    #[default]
    Whole,
    /// Offsets that point nowhere.
    WrongOffsets,
    /// No table, and nothing that says where it is.
    Missing,
}

#[derive(Default)]
struct Page {
    content: String,
    rotate: i32,
    field: Option<String>,
    picture: bool,
}

/// Fonts: text, bold, of equal width, and one that names each character by its Unicode number.
#[derive(Clone, Copy)]
pub enum Font {
    Text = 1,
    Bold = 2,
    Fixed = 3,
    Unicode = 4,
}

impl Pdf {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a page of 595 by 842 points.
    pub fn page(&mut self) -> &mut Self {
        self.pages.push(Page::default());
        self
    }

    fn last(&mut self) -> &mut Page {
        self.pages.last_mut().expect("a page")
    }

    pub fn info(&mut self, entries: &str) -> &mut Self {
        self.info.push_str(entries);
        self
    }

    pub fn labels(&mut self, numbers: &str) -> &mut Self {
        self.labels.push_str(numbers);
        self
    }

    pub fn rotate(&mut self, degrees: i32) -> &mut Self {
        self.last().rotate = degrees;
        self
    }

    pub fn picture(&mut self) -> &mut Self {
        self.last().picture = true;
        self
    }

    /// A form's field with what was filled in.
    pub fn field(&mut self, value: &str) -> &mut Self {
        self.last().field = Some(value.to_owned());
        self
    }

    /// One line.
    pub fn line(&mut self, font: Font, size: f32, x: f32, y: f32, text: &str) -> &mut Self {
        self.turned(font, size, [1.0, 0.0, 0.0, 1.0, x, y], text)
    }

    /// One line under a matrix.
    pub fn turned(&mut self, font: Font, size: f32, matrix: [f32; 6], text: &str) -> &mut Self {
        let [a, b, c, d, e, f] = matrix;
        let shown = match font {
            Font::Unicode => {
                text.encode_utf16().fold(String::from("<"), |mut hex, unit| {
                    let _ = write!(hex, "{unit:04x}");
                    hex
                }) + ">"
            }
            _ => {
                format!("({})", text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)"))
            }
        };
        let font = font as i32;
        let line = format!("BT /F{font} {size} Tf {a} {b} {c} {d} {e} {f} Tm {shown} Tj ET\n");
        self.last().content.push_str(&line);
        self
    }

    /// Lines in a narrow column, 12 points apart.
    pub fn page_lines(&mut self, x: f32, lines: &[&str]) -> &mut Self {
        for (n, line) in lines.iter().enumerate() {
            self.line(Font::Text, 9.0, x, 740.0 - 12.0 * n as f32, line);
        }
        self
    }

    /// Lines of text below each other, 14 points apart.
    pub fn lines(&mut self, x: f32, y: f32, lines: &[&str]) -> &mut Self {
        for (n, line) in lines.iter().enumerate() {
            self.line(Font::Text, 11.0, x, y - 14.0 * n as f32, line);
        }
        self
    }

    pub fn rule(&mut self, x: f32, y: f32, to_x: f32, to_y: f32) -> &mut Self {
        let line = format!("0.5 w {x} {y} m {to_x} {to_y} l S\n");
        self.last().content.push_str(&line);
        self
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let mut objects: Vec<String> = Vec::new();
        let pages = self.pages.len();
        let first = 10;
        let kids: String = (0..pages).map(|n| format!("{} 0 R ", first + 3 * n)).collect();
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!("/PageLabels<</Nums[{}]>>", self.labels)
        };
        let fields = self.pages.iter().enumerate().filter(|(_, page)| page.field.is_some());
        let fields: String = fields.map(|(n, _)| format!("{} 0 R ", first + 3 * n + 2)).collect();
        objects.push(format!("<</Type/Catalog/Pages 2 0 R{labels}/AcroForm<</Fields[{fields}]/DR<</Font<</F1 3 0 R>>>>>>>>"));
        objects.push(format!("<</Type/Pages/Kids[{kids}]/Count {pages}>>"));
        for name in ["Helvetica", "Helvetica-Bold", "Courier"] {
            objects.push(format!(
                "<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>"
            ));
        }
        objects.push("<</Type/Font/Subtype/Type0/BaseFont/Any/Encoding/Identity-H/DescendantFonts[7 0 R]/ToUnicode 8 0 R>>".into());
        objects.push("<</Type/Font/Subtype/CIDFontType2/BaseFont/Any/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 700/W[32[300]]/FontDescriptor<</Type/FontDescriptor/FontName/Any/Flags 4/FontBBox[0 -200 1000 800]/Ascent 800/Descent -200/ItalicAngle 0/StemV 80/CapHeight 700>>>>".into());
        let ranges = (0..256).map(|high| {
            format!("1 beginbfrange <{high:02x}00> <{high:02x}ff> <{high:02x}00> endbfrange\n")
        });
        let map = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def 1 begincodespacerange <0000> <ffff> endcodespacerange\n".to_owned();
        objects.push(stream("", &(map + &ranges.collect::<String>() + "endcmap end end")));
        objects.push(format!("<</Producer(test){}>>", self.info));
        for (n, page) in self.pages.iter().enumerate() {
            let own = first + 3 * n;
            let rotate = page.rotate;
            let annotations = if page.field.is_some() {
                format!("/Annots[{} 0 R]", own + 2)
            } else {
                String::new()
            };
            let (content, picture) = if page.picture {
                (
                    format!("q 595 0 0 842 0 0 cm /I Do Q\n{}", page.content),
                    format!("/XObject<</I {} 0 R>>", own + 2),
                )
            } else {
                (page.content.clone(), String::new())
            };
            objects.push(format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate {rotate}/Contents {} 0 R{annotations}/Resources<</Font<</F1 3 0 R/F2 4 0 R/F3 5 0 R/F4 6 0 R>>{picture}>>>>", own + 1));
            objects.push(stream("", &content));
            objects.push(match &page.field {
                Some(value) => {
                    format!("<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V({value})/F 4/Rect[200 600 400 620]/DA(/F1 11 Tf 0 g)/AP<</N {} 0 R>>/P {own} 0 R>>", first + 3 * pages)
                }
                None if page.picture => stream("/Type/XObject/Subtype/Image/Width 2/Height 2/ColorSpace/DeviceGray/BitsPerComponent 8", "abcd"),
                None => "null".into(),
            });
        }
        let value =
            self.pages.iter().find_map(|page| page.field.as_ref()).cloned().unwrap_or_default();
        objects.push(stream(
            "/Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F1 3 0 R>>>>",
            &format!("/Tx BMC BT /F1 11 Tf 2 5 Td ({value}) Tj ET EMC"),
        ));
        self.assemble(&objects)
    }

    fn assemble(&self, objects: &[String]) -> Vec<u8> {
        let mut file = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let mut offsets = Vec::new();
        for (n, object) in objects.iter().enumerate() {
            offsets.push(file.len());
            file.extend(format!("{} 0 obj\n", n + 1).bytes());
            // Text is Latin-1 here.
            file.extend(object.chars().map(|c| c as u8));
            file.extend(b"\nendobj\n");
        }
        let size = objects.len() + 1;
        if self.tail == Tail::Missing {
            file.extend(format!("trailer <</Size {size}/Root 1 0 R/Info 9 0 R>>\n").bytes());
            return file;
        }
        let table = file.len();
        let off = if self.tail == Tail::WrongOffsets { 777 } else { 0 };
        file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
        for offset in offsets {
            file.extend(format!("{:010} 00000 n \n", offset + off).bytes());
        }
        file.extend(
            format!(
                "trailer <</Size {size}/Root 1 0 R/Info 9 0 R>>\nstartxref\n{}\n%%EOF\n",
                table + off
            )
            .bytes(),
        );
        file
    }
}

fn stream(entries: &str, content: &str) -> String {
    format!("<<{entries}/Length {}>>stream\n{content}\nendstream", content.chars().count())
}
