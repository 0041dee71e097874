//! A provider on the loopback interface: it speaks the real formats, and takes a script of faults.
//!
//! Each request takes the next fault of the script; after the last, and without a script, it is answered
//! well. It ends by itself after so many requests, so that a caller that never stops is found.
use super::{api, stream as bits};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Requests after which it answers no more.
const MOST_REQUESTS: usize = 20_000;
/// Longest that a hanging answer hangs.
const HANG: Duration = Duration::from_mins(1);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// Since the server began.
    pub at: Duration,
}

#[derive(Default)]
struct State {
    script: VecDeque<Value>,
    /// For all requests that the script says nothing about.
    always: Value,
    requests: Vec<Request>,
    /// Of each text that was embedded well, when: where these are counted, requests are neither kept nor limited.
    embedded: Option<HashMap<String, Vec<f64>>>,
    connections: usize,
    open: usize,
}

/// The server. Its threads end with the process, or after too many requests.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = Self { address, state: Arc::default() };
        let accepting = server.clone();
        let started = Instant::now();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = accepting.clone();
                server.state().connections += 1;
                std::thread::spawn(move || {
                    server.state().open += 1;
                    // A peer that goes away in the middle is what many tests are about.
                    let _ = server.serve(&stream, started);
                    server.state().open -= 1;
                });
            }
        });
        server
    }

    /// Its address below `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests by these faults.
    pub fn script(&self, faults: &[Value]) {
        self.state().script = faults.iter().cloned().collect();
    }

    /// Answers every request by this fault.
    pub fn always(&self, fault: Value) {
        self.state().always = fault;
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Connections that were made, and those that are open now.
    pub fn connections(&self) -> (usize, usize) {
        let state = self.state();
        (state.connections, state.open)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream, started: Instant) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(mut request) = read(&mut reader)? {
            request.at = started.elapsed();
            if request.path.starts_with("/control/") {
                let reply = self.control(&request);
                respond(stream, 200, &[], reply.to_string().as_bytes())?;
                continue;
            }
            let fault = {
                let mut state = self.state();
                if state.embedded.is_none() {
                    state.requests.push(request.clone());
                }
                if state.requests.len() > MOST_REQUESTS {
                    return Ok(());
                }
                let always = state.always.clone();
                state.script.pop_front().unwrap_or(always)
            };
            let fault = for_this(&request, fault);
            if !answer(stream, &request, &fault)? {
                return Ok(());
            }
            if is_well(&fault) {
                self.count(&request);
            }
        }
        Ok(())
    }

    fn count(&self, request: &Request) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if let Some(embedded) = &mut self.state().embedded {
            let texts = request.body["input"].as_array().into_iter().flatten();
            for text in texts.filter_map(Value::as_str) {
                embedded.entry(text.to_owned()).or_default().push(now);
            }
        }
    }

    /// For tests that are not written in Rust.
    fn control(&self, request: &Request) -> Value {
        let mut state = self.state();
        match &*request.path {
            "/control/script" => {
                state.script = request.body.as_array().cloned().unwrap_or_default().into();
                state.always = Value::Null;
                state.requests.clear();
                json!({})
            }
            "/control/always" => {
                state.always = request.body.clone();
                state.script.clear();
                state.requests.clear();
                json!({})
            }
            "/control/count" => {
                state.embedded = Some(HashMap::new());
                json!({})
            }
            "/control/counted" => {
                let embedded = state.embedded.iter().flatten();
                let again: HashMap<_, _> = { embedded }.filter(|(_, at)| at.len() > 1).collect();
                json!({"texts": state.embedded.as_ref().map_or(0, HashMap::len), "again": again})
            }
            _ => {
                let requests = state.requests.iter().map(|r| {
                    json!({"path": r.path, "headers": r.headers, "body": r.body, "at": r.at.as_secs_f64()})
                });
                json!({"requests": requests.collect::<Vec<_>>(), "connections": state.connections, "open": state.open})
            }
        }
    }
}

/// The fault that meets a request, of those that concern some requests only.
///
/// A list stands for the first of its faults whose conditions hold; a fault without conditions always
/// does. `refuse`: the body holds this word. `over_texts`, `over_bytes`, `over_tokens` (a token is four
/// bytes): it is larger. `has`: it has this field. `unless`: an object of a field and the values of which it
/// has none. `chance`: so many requests of a hundred. Where they hold, the request meets the `fault` named
/// in it, or else the fault itself.
fn for_this(request: &Request, fault: Value) -> Value {
    if let Value::Array(faults) = fault {
        let met = faults.into_iter().map(|fault| for_this(request, fault));
        return { met }.find(|fault| !fault.is_null()).unwrap_or_default();
    }
    let body = request.body.to_string();
    let texts = ["input", "inputs", "texts", "documents"].iter().find_map(|list| {
        let list = request.body.get(*list)?;
        Some(list.as_array().map_or(1, Vec::len))
    });
    let over = |name: &str, size: usize| {
        fault.get(name).and_then(Value::as_u64).is_none_or(|most| size as u64 > most)
    };
    let word = fault.get("refuse").and_then(Value::as_str);
    let field = fault.get("has").and_then(Value::as_str);
    let wanted = fault.get("unless").and_then(Value::as_object);
    let chance = fault.get("chance").and_then(Value::as_u64);
    let is_met = word.is_none_or(|word| body.contains(word))
        && over("over_texts", texts.unwrap_or(1))
        && over("over_bytes", body.len())
        && over("over_tokens", body.len() / 4)
        && field.is_none_or(|field| request.body.get(field).is_some())
        && wanted.is_none_or(|wanted| {
            wanted.iter().all(|(field, values)| {
                !values.as_array().is_some_and(|v| v.contains(&request.body[field]))
            })
        })
        && chance.is_none_or(|chance| u64::from(request.at.subsec_nanos()) / 1000 % 100 < chance);
    match (is_met, fault.get("fault").cloned()) {
        (false, _) => Value::Null,
        (true, Some(fault)) => for_this(request, fault),
        (true, None) => fault,
    }
}

/// Whether a request that met this fault was answered so that a caller can use it.
fn is_well(fault: &Value) -> bool {
    let usable = ["bom", "gzip", "no_index", "no_zero_index", "usage_strings", "long", "short"];
    match fault {
        Value::Null => true,
        Value::String(name) => usable.contains(&name.as_str()),
        fault => fault.get("status").is_none(),
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(Request { path, headers, body, at: Duration::ZERO }))
}

fn respond(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Reason\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("content-type: application/json\r\nx-request-id: req-1\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Answers a request as its fault says. False when the connection is over.
fn answer(mut stream: &TcpStream, request: &Request, fault: &Value) -> std::io::Result<bool> {
    let name = fault.as_str().unwrap_or_default();
    let number = |key: &str| fault.get(key).and_then(Value::as_u64);
    if let Some(wait) = number("wait") {
        std::thread::sleep(Duration::from_millis(wait));
    }
    if number("a_text").is_some_and(|a_text| !take_time(stream, request, a_text)) {
        return Ok(false);
    }
    if let Some(status) = number("status") {
        let headers: Vec<(&str, String)> = fault
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (&**name, value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let error = json!({"error": {"message": "scripted", "type": "scripted"}});
        let body = fault.get("body").unwrap_or(&error);
        let body = match body.as_str() {
            // What a careless provider repeats of the request.
            Some("echo") => {
                json!({"error": {"message": format!("bad {:?}", request.headers)}}).to_string()
            }
            Some(text) => text.to_owned(),
            None => body.to_string(),
        };
        respond(stream, status as u16, &headers, body.as_bytes())?;
        return Ok(true);
    }
    if name == "hang" {
        wait_for_farewell(stream);
        return Ok(false);
    }
    if name == "reset" {
        return Ok(false);
    }
    let good = api::answer(&request.path, &request.body, fault);
    let Some(mut good) = good else {
        respond(stream, 404, &[], br#"{"error":{"message":"no such path"}}"#)?;
        return Ok(true);
    };
    match name {
        "bom" => good.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        "gzip" => {
            let headers = [("content-encoding", "gzip".to_owned())];
            respond(stream, 200, &headers, &gzip(&good))?;
            return Ok(true);
        }
        _ => {}
    }
    // What is oversized is so however it was asked for.
    if let Some(lines) = bits::lines(&request.path, &request.body, &good)
        && name != "oversized"
    {
        return speak(stream, &lines, fault);
    }
    let length = good.len();
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    match name {
        "reset_in_body" => {
            stream.write_all(head(length).as_bytes())?;
            stream.write_all(&good[..length / 2])?;
            return Ok(false);
        }
        "truncated" => respond(stream, 200, &[], &good[..length / 2])?,
        "drip" => {
            stream.write_all(head(length).as_bytes())?;
            let end = Instant::now() + HANG;
            for byte in good {
                stream.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(20));
                if Instant::now() > end {
                    return Ok(false);
                }
            }
        }
        "oversized" => {
            let block = vec![b' '; 1 << 20];
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            for _ in 0..256 {
                stream.write_all(b"100000\r\n")?;
                stream.write_all(&block)?;
                stream.write_all(b"\r\n")?;
            }
            return Ok(false);
        }
        "announced_oversized" => stream.write_all(head(1 << 40).as_bytes())?,
        "no_http" => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?;
            return Ok(false);
        }
        _ => {
            let headers = fault.get("headers").and_then(Value::as_object).into_iter().flatten();
            let headers: Vec<(&str, String)> = headers
                .map(|(name, value)| (&**name, value.as_str().unwrap_or_default().to_owned()))
                .collect();
            respond(stream, 200, &headers, &good)?;
        }
    }
    Ok(true)
}

/// Sends a response line by line, with a `pause` of milliseconds after each, and stops as the fault says.
fn speak(mut stream: &TcpStream, lines: &[String], fault: &Value) -> std::io::Result<bool> {
    let pause = fault.get("pause").and_then(Value::as_u64).unwrap_or(0);
    let name = fault.as_str().unwrap_or_default();
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    // What some gateways put before, and among, a model's own.
    if let Some(first) = fault.get("first") {
        let line = format!("data: {first}\n\n");
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
        if fault.get("is_last").is_some() {
            stream.write_all(b"0\r\n\r\n")?;
            return Ok(true);
        }
    }
    for (n, line) in lines.iter().enumerate() {
        let is_middle = n == lines.len() / 2;
        match name {
            "reset_in_body" if is_middle => return Ok(false),
            // The end of a response that is complete as far as HTTP knows.
            "truncated" if is_middle => break,
            "hang_in_body" if is_middle => {
                wait_for_farewell(stream);
                return Ok(false);
            }
            "garbage" if is_middle => stream.write_all(b"a\r\ndata: {]\n\n\r\n")?,
            _ => {}
        }
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
        std::thread::sleep(Duration::from_millis(pause));
    }
    stream.write_all(b"0\r\n\r\n")?;
    Ok(true)
}

/// Sends nothing until the peer goes away.
fn wait_for_farewell(mut stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(HANG));
    let _ = stream.read(&mut [0]);
}

/// Takes so many milliseconds for each text, one after the other, whoever asks; false when the peer is gone.
fn take_time(stream: &TcpStream, request: &Request, a_text: u64) -> bool {
    static BUSY: Mutex<()> = Mutex::new(());
    let _busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = request.body["input"].as_array().map_or(1, Vec::len);
    (0..texts).all(|_| {
        std::thread::sleep(Duration::from_millis(a_text));
        !is_gone(stream)
    })
}

/// Whether the peer has closed its end.
fn is_gone(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let is_gone = matches!(stream.peek(&mut [0]), Ok(0));
    let _ = stream.set_nonblocking(false);
    is_gone
}

/// The bytes as `gzip` has them, not compressed.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16;
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    out.extend((!crc).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}
