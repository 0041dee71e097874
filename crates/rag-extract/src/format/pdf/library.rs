//! The functions of pdfium that reading text needs, loaded from a path at run time.
#![allow(unsafe_code)]
use std::ffi::{CString, c_char, c_double, c_float, c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use libloading::Library;

use crate::failure::Failure;

type Handle = *mut c_void;

/// Configuration of version 2, the oldest that has all of these.
#[repr(C)]
struct Config {
    version: c_int,
    font_paths: *const *const c_char,
    isolate: *mut c_void,
    isolate_slot: c_uint,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Matrix {
    a: c_float,
    b: c_float,
    c: c_float,
    d: c_float,
    e: c_float,
    f: c_float,
}

/// A rectangle on a page, in points; y grows upwards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub left: c_float,
    pub top: c_float,
    pub right: c_float,
    pub bottom: c_float,
}

macro_rules! functions {
    ($($field:ident: $name:literal ($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Pointers to functions, and the library that keeps them valid.
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            _library: Library,
        }

        impl Functions {
            /// # Safety
            /// The file at `path` is a pdfium, whose functions have these signatures.
            unsafe fn load(path: &Path) -> Result<Self, libloading::Error> {
                // SAFETY: the caller vouches for the library and so for what its functions take.
                unsafe {
                    let library = Library::new(path)?;
                    $(let $field = *library.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>($name)?;)*
                    Ok(Self { $($field,)* _library: library })
                }
            }
        }
    };
}

functions! {
    init: b"FPDF_InitLibraryWithConfig\0" (*const Config);
    load_document: b"FPDF_LoadMemDocument64\0" (*const c_void, usize, *const c_char) -> Handle;
    last_error: b"FPDF_GetLastError\0" () -> c_ulong;
    close_document: b"FPDF_CloseDocument\0" (Handle);
    page_count: b"FPDF_GetPageCount\0" (Handle) -> c_int;
    meta_text: b"FPDF_GetMetaText\0" (Handle, *const c_char, *mut c_void, c_ulong) -> c_ulong;
    language: b"FPDFCatalog_GetLanguage\0" (Handle, *mut c_void, c_ulong) -> c_ulong;
    page_label: b"FPDF_GetPageLabel\0" (Handle, c_int, *mut c_void, c_ulong) -> c_ulong;
    load_page: b"FPDF_LoadPage\0" (Handle, c_int) -> Handle;
    close_page: b"FPDF_ClosePage\0" (Handle);
    width: b"FPDF_GetPageWidthF\0" (Handle) -> c_float;
    height: b"FPDF_GetPageHeightF\0" (Handle) -> c_float;
    annotation_count: b"FPDFPage_GetAnnotCount\0" (Handle) -> c_int;
    annotation: b"FPDFPage_GetAnnot\0" (Handle, c_int) -> Handle;
    annotation_type: b"FPDFAnnot_GetSubtype\0" (Handle) -> c_int;
    close_annotation: b"FPDFPage_CloseAnnot\0" (Handle);
    flatten: b"FPDFPage_Flatten\0" (Handle, c_int) -> c_int;
    object_count: b"FPDFPage_CountObjects\0" (Handle) -> c_int;
    object: b"FPDFPage_GetObject\0" (Handle, c_int) -> Handle;
    object_type: b"FPDFPageObj_GetType\0" (Handle) -> c_int;
    object_bounds: b"FPDFPageObj_GetBounds\0" (Handle, *mut c_float, *mut c_float, *mut c_float, *mut c_float) -> c_int;
    load_text: b"FPDFText_LoadPage\0" (Handle) -> Handle;
    close_text: b"FPDFText_ClosePage\0" (Handle);
    count_chars: b"FPDFText_CountChars\0" (Handle) -> c_int;
    unicode: b"FPDFText_GetUnicode\0" (Handle, c_int) -> c_uint;
    is_generated: b"FPDFText_IsGenerated\0" (Handle, c_int) -> c_int;
    is_hyphen: b"FPDFText_IsHyphen\0" (Handle, c_int) -> c_int;
    has_map_error: b"FPDFText_HasUnicodeMapError\0" (Handle, c_int) -> c_int;
    text_object: b"FPDFText_GetTextObject\0" (Handle, c_int) -> Handle;
    font_size: b"FPDFText_GetFontSize\0" (Handle, c_int) -> c_double;
    font_weight: b"FPDFText_GetFontWeight\0" (Handle, c_int) -> c_int;
    font_info: b"FPDFText_GetFontInfo\0" (Handle, c_int, *mut c_void, c_ulong, *mut c_int) -> c_ulong;
    matrix: b"FPDFText_GetMatrix\0" (Handle, c_int, *mut Matrix) -> c_int;
    loose_box: b"FPDFText_GetLooseCharBox\0" (Handle, c_int, *mut Rect) -> c_int;
    origin: b"FPDFText_GetCharOrigin\0" (Handle, c_int, *mut c_double, *mut c_double) -> c_int;
}

/// The loaded library.
pub struct Pdfium {
    functions: Functions,
}

impl Pdfium {
    /// Loads the library that `RAG_PG_PDFIUM` names, or the one installed with this program.
    pub fn load() -> Result<Self, String> {
        let mut tried = Vec::new();
        for path in places() {
            if !path.is_file() {
                tried.push(format!("\"{}\" is missing", path.display()));
                continue;
            }
            // SAFETY: the administrator names the library, as for everything that a program loads.
            match unsafe { Functions::load(&path) } {
                Ok(functions) => {
                    // No fonts of the system: they are for drawing, and their files cannot be opened.
                    let none: [*const c_char; 1] = [null()];
                    let config = Config {
                        version: 2,
                        font_paths: none.as_ptr(),
                        isolate: null_mut(),
                        isolate_slot: 0,
                    };
                    // SAFETY: the configuration outlives the call, and its list ends with a null pointer.
                    unsafe { (functions.init)(&raw const config) };
                    return Ok(Self { functions });
                }
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(tried.join("; "))
    }

    /// Opens a file. It is read from `bytes` as long as the document lives.
    pub fn open<'a>(
        &'a self,
        bytes: &'a [u8],
        password: Option<&str>,
    ) -> Result<File<'a>, Failure> {
        let password = password.and_then(|password| CString::new(password).ok());
        let word = password.as_ref().map_or(null(), |password| password.as_ptr());
        // SAFETY: the bytes live longer than the document, which `'a` says.
        let handle =
            unsafe { (self.functions.load_document)(bytes.as_ptr().cast(), bytes.len(), word) };
        if !handle.is_null() {
            return Ok(File { pdfium: self, handle, _bytes: PhantomData });
        }
        // SAFETY: takes nothing.
        Err(match unsafe { (self.functions.last_error)() } {
            4 => Failure::encrypted(),
            5 => {
                Failure::unsupported("the way in which this PDF file is encrypted is not supported")
            }
            error => Failure::damaged(format!("pdfium cannot open it (error {error})")),
        })
    }
}

fn places() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("RAG_PG_PDFIUM").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let program = std::env::current_exe().unwrap_or_default();
    let directory = program.parent().unwrap_or(Path::new("/"));
    vec![
        directory.join("libpdfium.so"),
        directory.join("../lib/rag_pg/libpdfium.so"),
        "/usr/local/lib/rag_pg/libpdfium.so".into(),
    ]
}

/// An open file.
pub struct File<'a> {
    pdfium: &'a Pdfium,
    handle: Handle,
    _bytes: PhantomData<&'a [u8]>,
}

impl Drop for File<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `open` and closed once.
        unsafe { (self.pdfium.functions.close_document)(self.handle) }
    }
}

impl File<'_> {
    pub fn pages(&self) -> usize {
        // SAFETY: the document is open.
        usize::try_from(unsafe { (self.pdfium.functions.page_count)(self.handle) }).unwrap_or(0)
    }

    /// An entry of the information dictionary.
    pub fn information(&self, key: &str) -> String {
        let Ok(key) = CString::new(key) else { return String::new() };
        wide(|buffer, length| {
            // SAFETY: the document is open, and the buffer has `length` bytes.
            unsafe { (self.pdfium.functions.meta_text)(self.handle, key.as_ptr(), buffer, length) }
        })
    }

    pub fn language(&self) -> String {
        // SAFETY: as above.
        wide(|buffer, length| unsafe {
            (self.pdfium.functions.language)(self.handle, buffer, length)
        })
    }

    /// What the page calls itself, such as `iv`.
    pub fn label(&self, page: usize) -> String {
        // SAFETY: as above.
        wide(|buffer, length| unsafe {
            (self.pdfium.functions.page_label)(self.handle, page as c_int, buffer, length)
        })
    }

    /// Reads a page; `None` where pdfium cannot.
    pub fn page(&self, number: usize) -> Option<Sheet> {
        let functions = &self.pdfium.functions;
        // SAFETY: the document is open.
        let mut page = unsafe { (functions.load_page)(self.handle, number as c_int) };
        if page.is_null() {
            return None;
        }
        if self.has_fields(page) {
            // What was filled into a form is an annotation, which is no text before it is part of the page.
            // SAFETY: the page is open; it is loaded anew to read what was merged into it.
            unsafe {
                (functions.flatten)(page, 0);
                (functions.close_page)(page);
                page = (functions.load_page)(self.handle, number as c_int);
            }
            if page.is_null() {
                return None;
            }
        }
        let sheet = self.sheet(page);
        // SAFETY: the page is open, and closed once.
        unsafe { (functions.close_page)(page) };
        Some(sheet)
    }

    fn has_fields(&self, page: Handle) -> bool {
        const FREE_TEXT: c_int = 3;
        const FIELD: c_int = 20;
        let functions = &self.pdfium.functions;
        // SAFETY: the page is open, and each annotation is closed once.
        unsafe {
            (0..(functions.annotation_count)(page).min(10_000)).any(|n| {
                let annotation = (functions.annotation)(page, n);
                if annotation.is_null() {
                    return false;
                }
                let kind = (functions.annotation_type)(annotation);
                (functions.close_annotation)(annotation);
                matches!(kind, FREE_TEXT | FIELD)
            })
        }
    }

    fn sheet(&self, page: Handle) -> Sheet {
        let functions = &self.pdfium.functions;
        // SAFETY: the page is open.
        let (width, height) = unsafe { ((functions.width)(page), (functions.height)(page)) };
        let mut sheet = Sheet { width, height, ..Sheet::default() };
        self.objects(page, &mut sheet);
        // SAFETY: the page is open.
        let text = unsafe { (functions.load_text)(page) };
        if !text.is_null() {
            self.glyphs(text, &mut sheet);
            // SAFETY: opened above, and closed once.
            unsafe { (functions.close_text)(text) };
        }
        sheet
    }

    /// Pictures and thin lines.
    fn objects(&self, page: Handle, sheet: &mut Sheet) {
        const PATH: c_int = 2;
        const IMAGE: c_int = 3;
        let functions = &self.pdfium.functions;
        // SAFETY: the page is open, and its objects live as long.
        let count = unsafe { (functions.object_count)(page) };
        for n in 0..count.min(100_000) {
            // SAFETY: as above; the numbers outlive the call.
            let (kind, bounds) = unsafe {
                let object = (functions.object)(page, n);
                if object.is_null() {
                    continue;
                }
                let kind = (functions.object_type)(object);
                if kind != PATH && kind != IMAGE {
                    continue;
                }
                let mut r = Rect::default();
                let (left, bottom) = (&raw mut r.left, &raw mut r.bottom);
                let known = (functions.object_bounds)(
                    object,
                    left,
                    bottom,
                    &raw mut r.right,
                    &raw mut r.top,
                );
                if known == 0 {
                    continue;
                }
                (kind, r)
            };
            if kind == IMAGE {
                sheet.pictures.push(bounds);
            } else if sheet.lines.len() < 10_000 {
                sheet.lines.push(bounds);
            }
        }
    }

    fn glyphs(&self, text: Handle, sheet: &mut Sheet) {
        let functions = &self.pdfium.functions;
        // SAFETY: the text page is open.
        let count = unsafe { (functions.count_chars)(text) };
        let mut object = null_mut();
        let mut font = Font::default();
        sheet.glyphs.reserve(usize::try_from(count).unwrap_or(0).min(1 << 20));
        for n in 0..count {
            // SAFETY: the text page is open and has that many characters.
            let code = unsafe { (functions.unicode)(text, n) };
            // SAFETY: as above.
            let generated = unsafe { (functions.is_generated)(text, n) } == 1;
            // SAFETY: as above.
            let hyphen = unsafe { (functions.is_hyphen)(text, n) } == 1 || code == 2;
            let c = if hyphen { '-' } else { char::from_u32(code).unwrap_or('\u{fffd}') };
            if generated && !hyphen {
                if c == ' ' {
                    sheet.glyphs.push(Glyph { c, generated, ..Glyph::default() });
                }
                continue;
            }
            let mut glyph = Glyph { c, generated: false, hyphen, ..Glyph::default() };
            let (mut x, mut y) = (0.0, 0.0);
            // SAFETY: as above; what is filled in outlives the calls.
            unsafe {
                let this = (functions.text_object)(text, n);
                if this != object || this.is_null() {
                    object = this;
                    font = self.font(text, n);
                }
                (functions.loose_box)(text, n, &raw mut glyph.area);
                (functions.origin)(text, n, &raw mut x, &raw mut y);
                glyph.unknown = (functions.has_map_error)(text, n) == 1;
            }
            (glyph.x, glyph.y) = (x as f32, y as f32);
            glyph.font = font;
            sheet.glyphs.push(glyph);
        }
    }

    /// # Safety
    /// The text page is open and has more than `n` characters.
    unsafe fn font(&self, text: Handle, n: c_int) -> Font {
        let functions = &self.pdfium.functions;
        let mut matrix = Matrix::default();
        let mut name = [0_u8; 128];
        let mut flags: c_int = 0;
        // SAFETY: the caller's promise; what is filled in outlives the calls, and the buffer has its length.
        let (size, weight, length) = unsafe {
            (functions.matrix)(text, n, &raw mut matrix);
            let buffer = name.as_mut_ptr().cast();
            (
                (functions.font_size)(text, n) as f32,
                (functions.font_weight)(text, n),
                (functions.font_info)(text, n, buffer, name.len() as c_ulong, &raw mut flags),
            )
        };
        let name =
            String::from_utf8_lossy(&name[..name.len().min(length as usize)]).to_ascii_lowercase();
        let scale = matrix.c.hypot(matrix.d);
        let bold = weight >= 600
            || flags & (1 << 18) != 0
            || name.contains("bold")
            || name.contains("black");
        Font {
            size: size * if scale > 0.0 { scale } else { 1.0 },
            angle: matrix.b.atan2(matrix.a),
            bold,
            fixed: flags & 1 != 0 || FIXED.iter().any(|part| name.contains(part)),
        }
    }
}

/// Parts of the names of fonts whose characters are equally wide; not all such fonts say so.
const FIXED: [&str; 9] =
    ["mono", "monl", "courier", "cmtt", "typewriter", "consolas", "menlo", "monaco", "sourcecode"];

/// Calls a function that fills a buffer with UTF-16, first for the length.
fn wide(fill: impl Fn(*mut c_void, c_ulong) -> c_ulong) -> String {
    let bytes = fill(null_mut(), 0) as usize;
    if !(3..=1 << 20).contains(&bytes) {
        return String::new();
    }
    let mut buffer = vec![0_u16; bytes / 2 + 1];
    let filled = fill(buffer.as_mut_ptr().cast(), bytes as c_ulong) as usize;
    let units = filled.min(bytes) / 2;
    String::from_utf16_lossy(&buffer[..units]).trim_end_matches('\0').to_owned()
}

/// What one text object is set in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Font {
    /// In points on the page.
    pub size: f32,
    /// Of the baseline, in radians.
    pub angle: f32,
    pub bold: bool,
    pub fixed: bool,
}

/// A character where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glyph {
    pub c: char,
    /// Origin on the baseline.
    pub x: f32,
    pub y: f32,
    pub area: Rect,
    pub font: Font,
    /// A blank that pdfium sees between words.
    pub generated: bool,
    /// Divides a word at the end of a line.
    pub hyphen: bool,
    /// The font does not say which character this is.
    pub unknown: bool,
}

/// What stands on a page.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    pub width: f32,
    pub height: f32,
    pub glyphs: Vec<Glyph>,
    pub pictures: Vec<Rect>,
    pub lines: Vec<Rect>,
}
