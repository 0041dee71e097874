//! Settings of extracting the text of files.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;
use std::time::Duration;

static PROGRAM: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(installed!("/bin/rag-extract")));
static OCR_PROGRAM: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(60);
static MEMORY: GucSetting<i32> = GucSetting::<i32>::new(1 << 20);
static MAX_FILE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(500 << 10);

/// Path of the program that extracts text.
pub fn program() -> String {
    text(&PROGRAM)
}

/// The program that recognizes text in pictures and its arguments; empty where there is none.
pub fn ocr_program() -> Vec<String> {
    text(&OCR_PROGRAM).split_whitespace().map(str::to_owned).collect()
}

/// Longest time that one file may take.
pub fn timeout() -> Duration {
    Duration::from_secs(u64::try_from(TIMEOUT.get()).unwrap_or_default())
}

/// Most bytes of address space of a program, besides those of the file.
pub fn memory() -> u64 {
    u64::try_from(MEMORY.get()).unwrap_or_default() << 10
}

/// Most bytes of a file.
pub fn max_file_size() -> usize {
    usize::try_from(MAX_FILE_SIZE.get()).unwrap_or_default() << 10
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Defines the settings. The server runs the programs that the paths name, and what a file may take of its memory and time
/// is the administrator's to decide.
pub fn init() {
    GucRegistry::define_string_guc(
        c"rag_pg.extract_program",
        c"Path of the program that extracts the text of files.",
        c"\"make install\" installs it as rag-extract.",
        &PROGRAM,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.ocr_program",
        c"Program that recognizes the text of files that show pictures of it, with its arguments.",
        c"It gets a file on its standard input, and prints the text in UTF-8, with a form feed between two pages. Empty: there is none.",
        &OCR_PROGRAM,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.extract_timeout",
        c"Longest time that extracting the text of one file may take.",
        c"The program is killed then. It counts as time of the clock and as time of processors.",
        &TIMEOUT,
        1,
        86_400,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.extract_memory",
        c"Most address space of the program that extracts the text of a file, besides the size of the file.",
        c"A file that needs more has no text.",
        &MEMORY,
        64 << 10,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.max_file_size",
        c"Most bytes of a file whose text is extracted.",
        c"A document of a collection that is larger is given up. The text that comes of it has the limit rag_pg.max_document_size.",
        &MAX_FILE_SIZE,
        1,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
}
