//! URLs of providers as an administrator writes them.
use crate::{Error, Result};
use std::fmt;

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain, for hosts that are listed as allowed.
    Http,
    /// Encrypted.
    Https,
}

/// Scheme, host, port and path of a provider, in one spelling; perhaps with a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
    query: Option<String>,
}

impl Url {
    /// Parses a URL. Refused, since each is a way to be led elsewhere or to leak: schemes but http
    /// and https, names and passwords, fragments, backslashes, spaces, and dots as path segments,
    /// also when they are escaped.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| {
            // The text itself may hold a password, so it is not repeated.
            Error::invalid_argument(format!("the URL is not usable: {why}"))
                .with_hint("Give an address such as \"https://api.example.com/v1\".")
        })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err("it holds a space, control character or backslash");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err("its scheme is neither https nor http"),
        };
        if rest.contains('#') {
            return Err("it has a fragment");
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err("it holds a user name or password");
        }
        let (host, port) = host_and_port(authority, scheme)?;
        let path = path.trim_end_matches('/').to_owned();
        check_path(&path)?;
        Ok(Self { scheme, host, port, path, query })
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host in lower case; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port, the scheme's own where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path below this one; `below` begins with a slash.
    #[must_use]
    pub fn below(&self, below: &str) -> Self {
        Self { path: format!("{}{below}", self.path), ..self.clone() }
    }

    /// Whether `other` is this URL or below it: same scheme, host and port, and the path goes on
    /// after a whole segment.
    pub fn covers(&self, other: &Self) -> bool {
        let rest = other.path.strip_prefix(&*self.path);
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, own_port) = match self.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        write!(f, "{scheme}://")?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != own_port {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Host and port of an authority without a user.
pub(super) fn host_and_port(text: &str, scheme: Scheme) -> Result<(String, u16), &'static str> {
    let (host, port) = split_port(text)?;
    let port = match port {
        None if scheme == Scheme::Http => 80,
        None => 443,
        Some(port) => port,
    };
    Ok((host, port))
}

/// Splits a port off a host, which may be an IPv6 address in brackets.
pub(super) fn split_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a bracket of its host is not closed")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("its host is no IPv6 address");
            }
            let port = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':').ok_or("something follows its host")?)
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = host.to_ascii_lowercase();
    if !host.contains(':') {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if host.len() > 253 || !host.split('.').all(is_label) {
            return Err("its host is no host name");
        }
    }
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port > 0).ok_or("its port is no port")?)
        }
        Some(_) => return Err("its port is no port"),
    };
    Ok((host, port))
}

/// A path that cannot lead out of itself.
fn check_path(path: &str) -> Result<(), &'static str> {
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    if decoded.contains("%2f") || decoded.contains("%5c") {
        return Err("its path holds an escaped slash");
    }
    if decoded.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("its path holds dots as a segment");
    }
    if !path.is_ascii() {
        return Err("its path holds characters that must be escaped");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Url;

    fn address(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_normalised_to_one_spelling() {
        for (text, shown) in [
            ("HTTPS://API.Example.com", "https://api.example.com"),
            ("https://api.example.com:443/v1/", "https://api.example.com/v1"),
            ("http://localhost:11434", "http://localhost:11434"),
            ("http://[::1]:80/a", "http://[::1]/a"),
            ("https://a.example/x?api-version=2", "https://a.example/x?api-version=2"),
        ] {
            assert_eq!(address(text).to_string(), shown);
        }
        let below = address("https://a.example/x?api-version=2").below("/embeddings");
        assert_eq!(below.to_string(), "https://a.example/x/embeddings?api-version=2");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "api.example.com",
            "file:///etc/passwd",
            "ftp://a.example",
            "gopher://a.example",
            "https://",
            "https:///v1",
            "https://user:secret@a.example",
            "https://secret@a.example",
            "https://a.example\\@b.example",
            "https://a.example/ b",
            "https://a.example/\r\nX-Evil: 1",
            "https://a.example/#b",
            "https://a.example/v1/../x",
            "https://a.example/v1/%2E%2e/x",
            "https://a.example/v1%2f..",
            "https://a.example:99999",
            "https://a.example:0",
            "https://a.example:",
            "https://a.example:+443",
            "https://a..example",
            "https://.example",
            "https://[::1",
            "https://[a.example]",
            "https://[::1]x",
            "https://münchen.example",
        ] {
            let error = Url::parse(text).expect_err(text);
            assert_eq!(error.sqlstate(), "22023", "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        let prefix = address("https://api.example.com/v1");
        for covered in ["https://api.example.com/v1", "https://API.example.com:443/v1/embeddings"] {
            assert!(prefix.covers(&address(covered)), "{covered}");
        }
        for other in [
            "https://api.example.com",
            "https://api.example.com/v10",
            "https://api.example.com/v1x/embeddings",
            "https://api.example.com.evil/v1",
            "https://api.example.com:8443/v1",
            "http://api.example.com/v1",
            "https://evil.example/api.example.com/v1",
        ] {
            assert!(!prefix.covers(&address(other)), "{other}");
        }
        assert!(address("https://a.example").covers(&address("https://a.example/any?x=1")));
    }
}
