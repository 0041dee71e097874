//! libpq as the server itself uses it: the library that its own replication client is linked with. Nothing is linked here, so that a
//! package needs no libpq of its own and no other version is loaded beside the server's.
#![allow(unsafe_code)] // C

use pgrx::pg_sys;
use rag::{Error, Result};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;

/// A result code of `PQresultStatus`.
const COMMAND_OK: c_int = 1;
const TUPLES_OK: c_int = 2;

/// Fields of `PQresultErrorField`.
const SQLSTATE: c_int = b'C' as c_int;
const MESSAGE: c_int = b'M' as c_int;
const DETAIL: c_int = b'D' as c_int;
const HINT: c_int = b'H' as c_int;

/// `CONNECTION_BAD` of `ConnStatusType`.
const BAD: c_int = 1;

/// The type `bytea`.
const BYTEA: u32 = 17;
/// The type `text`.
const TEXT: u32 = 25;

macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of libpq.
        #[derive(Clone, Copy)]
        struct Functions { $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?),* }

        impl Functions {
            /// Those that are loaded; `None` where one is missing.
            fn find() -> Option<Self> {
                Some(Self { $($field: {
                    // SAFETY: looks a name up among what is loaded. A function of this name in libpq has this signature.
                    unsafe {
                        let found = libc::dlsym(libc::RTLD_DEFAULT, $name.as_ptr());
                        if found.is_null() {
                            return None;
                        }
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(found)
                    }
                }),* })
            }
        }
    };
}

type Handle = *mut c_void;

/// The beginning of `PQconninfoOption`; the rest is spelled out for its size.
#[repr(C)]
struct ConnectionOption {
    keyword: *const c_char,
    environment: *const c_char,
    compiled: *const c_char,
    value: *const c_char,
    label: *const c_char,
    display: *const c_char,
    size: c_int,
}

functions! {
    connect_start = c"PQconnectStartParams": fn(*const *const c_char, *const *const c_char, c_int) -> Handle;
    connect_poll = c"PQconnectPoll": fn(Handle) -> c_int;
    status = c"PQstatus": fn(Handle) -> c_int;
    socket = c"PQsocket": fn(Handle) -> c_int;
    error_message = c"PQerrorMessage": fn(Handle) -> *const c_char;
    finish = c"PQfinish": fn(Handle);
    set_nonblocking = c"PQsetnonblocking": fn(Handle, c_int) -> c_int;
    used_password = c"PQconnectionUsedPassword": fn(Handle) -> c_int;
    send_query = c"PQsendQuery": fn(Handle, *const c_char) -> c_int;
    send_query_params = c"PQsendQueryParams": fn(Handle, *const c_char, c_int, *const u32, *const *const c_char, *const c_int, *const c_int, c_int) -> c_int;
    flush = c"PQflush": fn(Handle) -> c_int;
    consume_input = c"PQconsumeInput": fn(Handle) -> c_int;
    is_busy = c"PQisBusy": fn(Handle) -> c_int;
    get_result = c"PQgetResult": fn(Handle) -> Handle;
    result_status = c"PQresultStatus": fn(Handle) -> c_int;
    error_field = c"PQresultErrorField": fn(Handle, c_int) -> *const c_char;
    result_error = c"PQresultErrorMessage": fn(Handle) -> *const c_char;
    rows = c"PQntuples": fn(Handle) -> c_int;
    is_null = c"PQgetisnull": fn(Handle, c_int, c_int) -> c_int;
    value = c"PQgetvalue": fn(Handle, c_int, c_int) -> *const c_char;
    length = c"PQgetlength": fn(Handle, c_int, c_int) -> c_int;
    clear = c"PQclear": fn(Handle);
    defaults = c"PQconndefaults": fn() -> *mut ConnectionOption;
    free_options = c"PQconninfoFree": fn(*mut ConnectionOption);
    set_notice_processor = c"PQsetNoticeProcessor": fn(Handle, Option<unsafe extern "C" fn(*mut c_void, *const c_char)>, *mut c_void) -> *mut c_void;
}

thread_local! {
    static LOADED: Cell<Option<Functions>> = const { Cell::new(None) };
}

fn functions() -> Result<Functions> {
    if let Some(known) = LOADED.get() {
        return Ok(known);
    }
    // SAFETY: a library of the server's own, which brings libpq with it; an ERROR where it is missing.
    unsafe { pg_sys::load_file(c"libpqwalreceiver".as_ptr(), false) };
    let found = Functions::find().ok_or_else(|| {
        Error::configuration("this server's libpq lacks a function that a distributed search needs")
            .with_hint("Install the libpq that belongs to the server.")
    })?;
    LOADED.set(Some(found));
    Ok(found)
}

/// What a step of connecting waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    Reading,
    Writing,
    Connected,
    Failed,
}

/// A value of a parameter.
#[derive(Debug, Clone)]
pub enum Parameter {
    Text(String),
    Bytes(Vec<u8>),
}

/// What a server said of a statement that failed, or libpq of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaint {
    /// None where the connection itself failed.
    pub sqlstate: Option<String>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// A result of a statement: the first value of the first row, if there is one.
pub type Answer = Result<Option<String>, Complaint>;

/// What comes next of a statement's results.
pub enum Next {
    Result(Answer),
    /// It has not arrived yet.
    Later,
    NoMore,
}

/// A connection, closed when dropped.
pub struct Connection {
    functions: Functions,
    handle: NonNull<c_void>,
}

impl Connection {
    /// Begins to connect with these options, of which libpq takes those that it knows and that are no settings for debugging.
    pub fn start(options: &[(String, String)]) -> Result<Self> {
        let functions = functions()?;
        let known = known_options(functions);
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let used: Vec<(CString, CString)> = options
            .iter()
            .filter(|(keyword, _)| known.contains(keyword))
            .map(|(keyword, value)| (text(keyword), text(value)))
            .collect();
        let end = std::iter::once(std::ptr::null());
        let keywords: Vec<_> = used.iter().map(|(k, _)| k.as_ptr()).chain(end.clone()).collect();
        let values: Vec<_> = used.iter().map(|(_, v)| v.as_ptr()).chain(end).collect();
        // SAFETY: arrays of C strings that end with NULL, which libpq copies. Values are no connection strings.
        let handle = unsafe { (functions.connect_start)(keywords.as_ptr(), values.as_ptr(), 0) };
        let handle = NonNull::new(handle).ok_or_else(|| Error::out_of_memory("out of memory"))?;
        // SAFETY: a connection. The processor outlives it; by default libpq would write notices into the server's log.
        unsafe {
            (functions.set_notice_processor)(handle.as_ptr(), Some(ignore), std::ptr::null_mut())
        };
        Ok(Self { functions, handle })
    }

    fn raw(&self) -> Handle {
        self.handle.as_ptr()
    }

    pub fn poll(&self) -> Polling {
        // SAFETY: a connection that is being made.
        match unsafe { (self.functions.connect_poll)(self.raw()) } {
            1 => Polling::Reading,
            2 => Polling::Writing,
            3 => Polling::Connected,
            _ => Polling::Failed,
        }
    }

    pub fn is_bad(&self) -> bool {
        // SAFETY: a connection.
        unsafe { (self.functions.status)(self.raw()) == BAD }
    }

    /// Its socket, -1 for none.
    pub fn socket(&self) -> c_int {
        // SAFETY: a connection.
        unsafe { (self.functions.socket)(self.raw()) }
    }

    pub fn set_nonblocking(&self) {
        // SAFETY: a connection that was made.
        unsafe { (self.functions.set_nonblocking)(self.raw(), 1) };
    }

    pub fn used_password(&self) -> bool {
        // SAFETY: a connection that was made.
        unsafe { (self.functions.used_password)(self.raw()) != 0 }
    }

    /// What went wrong with the connection.
    pub fn complaint(&self) -> Complaint {
        // SAFETY: returns a C string that lasts until the next call, and is copied.
        let message = unsafe { copied((self.functions.error_message)(self.raw())) };
        Complaint { message: message.unwrap_or_default().trim().to_owned(), ..Complaint::default() }
    }

    /// Sends statements without parameters. False where that fails.
    pub fn send(&self, sql: &CStr) -> bool {
        // SAFETY: a connection and a C string.
        unsafe { (self.functions.send_query)(self.raw(), sql.as_ptr()) == 1 }
    }

    /// Sends a statement whose results come as text. False where that fails.
    pub fn send_with(&self, sql: &CStr, parameters: &[Parameter]) -> bool {
        let texts: Vec<Option<CString>> = parameters
            .iter()
            .map(|one| match one {
                Parameter::Text(text) => Some(CString::new(text.as_str()).unwrap_or_default()),
                Parameter::Bytes(_) => None,
            })
            .collect();
        let (mut types, mut values, mut lengths, mut formats) = (vec![], vec![], vec![], vec![]);
        for (parameter, text) in parameters.iter().zip(&texts) {
            let (kind, value, length, format) = match (parameter, text) {
                (Parameter::Bytes(bytes), _) => {
                    (BYTEA, bytes.as_ptr().cast::<c_char>(), bytes.len() as c_int, 1)
                }
                (_, Some(text)) => (TEXT, text.as_ptr(), 0, 0),
                _ => unreachable!("a text"),
            };
            types.push(kind);
            values.push(value);
            lengths.push(length);
            formats.push(format);
        }
        // SAFETY: a connection, and arrays of as many elements as there are parameters; libpq copies what they point to.
        unsafe {
            let count = parameters.len() as c_int;
            let (types, values) = (types.as_ptr(), values.as_ptr());
            let (lengths, formats) = (lengths.as_ptr(), formats.as_ptr());
            let send = self.functions.send_query_params;
            send(self.raw(), sql.as_ptr(), count, types, values, lengths, formats, 0) == 1
        }
    }

    /// Sends on; whether something is left, or `None` on failure.
    pub fn flush(&self) -> Option<bool> {
        // SAFETY: a connection.
        match unsafe { (self.functions.flush)(self.raw()) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Reads what has arrived. False on failure.
    pub fn consume(&self) -> bool {
        // SAFETY: a connection.
        unsafe { (self.functions.consume_input)(self.raw()) == 1 }
    }

    /// The next result.
    pub fn next_result(&self) -> Next {
        let functions = &self.functions;
        // SAFETY: a connection; a result is read and cleared here.
        unsafe {
            if (functions.is_busy)(self.raw()) != 0 {
                return Next::Later;
            }
            let result = (functions.get_result)(self.raw());
            if result.is_null() {
                return Next::NoMore;
            }
            let status = (functions.result_status)(result);
            let read = match status {
                COMMAND_OK => Ok(None),
                TUPLES_OK => Ok(self.first_value(result)),
                _ => Err(self.complaint_of(result)),
            };
            (functions.clear)(result);
            Next::Result(read)
        }
    }

    /// # Safety
    /// A result with rows.
    unsafe fn first_value(&self, result: Handle) -> Option<String> {
        // SAFETY: as promised; a value is as long as it says.
        unsafe {
            let functions = &self.functions;
            if (functions.rows)(result) == 0 || (functions.is_null)(result, 0, 0) != 0 {
                return None;
            }
            let length = usize::try_from((functions.length)(result, 0, 0)).unwrap_or_default();
            let value = (functions.value)(result, 0, 0).cast::<u8>();
            let bytes = std::slice::from_raw_parts(value, length);
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    /// # Safety
    /// A result of a failure.
    unsafe fn complaint_of(&self, result: Handle) -> Complaint {
        // SAFETY: as promised; fields are C strings or NULL, and copied.
        unsafe {
            let field = |field| copied((self.functions.error_field)(result, field));
            let whole = || copied((self.functions.result_error)(result)).unwrap_or_default();
            Complaint {
                sqlstate: field(SQLSTATE),
                message: field(MESSAGE).unwrap_or_else(whole).trim().to_owned(),
                detail: field(DETAIL),
                hint: field(HINT),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: a connection, which nothing uses afterwards. PostgreSQL is not called.
        unsafe { (self.functions.finish)(self.raw()) };
    }
}

/// Keywords that libpq knows, but for those that are there to debug it.
fn known_options(functions: Functions) -> Vec<String> {
    let mut known = Vec::new();
    // SAFETY: an array that ends with an option without keyword, and is freed here.
    unsafe {
        let all = (functions.defaults)();
        let mut option = all;
        while !option.is_null() && !(*option).keyword.is_null() {
            let display = copied((*option).display).unwrap_or_default();
            if !display.contains('D') {
                known.extend(copied((*option).keyword));
            }
            option = option.add(1);
        }
        (functions.free_options)(all);
    }
    // As postgres_fdw has it: encodings are ours to agree on.
    let ours = ["client_encoding", "application_name", "fallback_application_name", "options"];
    known.extend(ours.map(str::to_owned));
    known
}

/// A notice of another server is not for the caller, nor for the log.
unsafe extern "C" fn ignore(_: *mut c_void, _: *const c_char) {}

/// # Safety
/// A C string, or NULL.
unsafe fn copied(text: *const c_char) -> Option<String> {
    // SAFETY: as promised.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
