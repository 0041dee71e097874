//! Bytes to text: byte order mark, declared charset, UTF-8, and a guess, in this order.
use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The text of `bytes`, and the name of its charset.
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> (Cow<'a, str>, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, _) = encoding.decode_without_bom_handling(&bytes[mark..]);
        return (text, encoding.name());
    }
    let encoding = declared.and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    // A page that declares another charset than UTF-8 and is UTF-8 was converted on its way.
    if let Ok(text) = std::str::from_utf8(bytes)
        && (encoding.is_none_or(Encoding::is_single_byte) || encoding == Some(UTF_8))
        && wide(bytes).is_none()
    {
        return (Cow::Borrowed(text), UTF_8.name());
    }
    // What declares UTF-8 and has more damaged characters than whole ones is in another charset.
    let encoding = encoding.filter(|encoding| *encoding != UTF_8 || is_mostly_utf8(bytes));
    let encoding = encoding.or_else(|| wide(bytes)).unwrap_or_else(|| guess(bytes));
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    (text, encoding.name())
}

/// The first characters of a text, or `None` where the bytes are no text.
pub fn sample(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(16 << 10)];
    let (text, _) = decode(head, None);
    (!is_binary(&text)).then(|| text.into_owned())
}

/// Whether more than one character in fifty is none that texts have.
pub fn is_binary(text: &str) -> bool {
    let strange = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1a}' | '\u{1c}'..='\u{1f}' | '\u{7f}' | '\u{fffd}');
    text.chars().filter(strange).count() * 50 > text.chars().count()
}

/// UTF-16 without a mark: every other byte of Western text is zero.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(4096)];
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if half >= 4 && odd * 10 >= half * 4 && even * 20 < half {
        Some(UTF_16LE)
    } else if half >= 4 && even * 10 >= half * 4 && odd * 20 < half {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether no more characters beyond ASCII are damaged than are whole.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut damaged) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        damaged += usize::from(!chunk.invalid().is_empty());
    }
    whole >= damaged
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(1 << 20)], true);
    detector.guess(None, Utf8Detection::Allow)
}

/// The charset in a MIME type such as `text/plain; charset=iso-8859-1`.
pub fn of_mime(mime: &str) -> Option<&str> {
    mime.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// The charset that an HTML or XML file declares in its first kilobyte.
pub fn of_markup(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    for mark in ["charset=", "encoding="] {
        if let Some((_, behind)) = head.split_once(mark) {
            let label = behind.trim_start_matches(['"', '\'', ' ']);
            let end = label.find(['"', '\'', ' ', '>', ';', '/', '?']).unwrap_or(label.len());
            return Some(label[..end].to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn charsets_are_told_apart() {
        for (text, label) in [
            ("Der Straßenbahnführer grüßt die Fahrgäste und öffnet die Türen.", "windows-1252"),
            ("Съешь ещё этих мягких французских булок, да выпей же чаю.", "windows-1251"),
            ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", "shift_jis"),
            ("Zażółć gęślą jaźń i pchnij w tę łódź jeża lub ośm skrzyń fig.", "windows-1250"),
        ] {
            let (bytes, _, lossy) =
                encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
            assert!(!lossy, "{label}");
            assert_eq!(decode(&bytes, Some(label)).0, text, "declared {label}");
            assert_eq!(decode(&bytes, None).0, text, "guessed {label}");
        }
        let damaged = "Eine größere Fläche, die schön ist: \u{fffd}".as_bytes();
        let damaged = [damaged, b"\xff"].concat();
        assert_eq!(decode(&damaged, Some("utf-8")).1, "UTF-8");
        assert_eq!(decode(b"caf\xe9 cr\xe8me", Some("utf-8")).0, "café crème");
        let wide: Vec<u8> = "plain words".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&wide, None), ("plain words".into(), "UTF-16BE"));
        let marked = [
            &b"\xff\xfe"[..],
            &"été".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        ]
        .concat();
        assert_eq!(decode(&marked, Some("utf-8")), ("été".into(), "UTF-16LE"));
    }
}
