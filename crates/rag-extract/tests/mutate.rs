//! Files of the corpus with bytes flipped, cut, spliced: the program ends, within its limits, and says why.
//!
//! `RAG_PG_EXTRACT_MUTATIONS` says how many; 20,000 take some minutes.
mod corpus;

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use corpus::{Case, cases, run};

const CLASSES: [&str; 8] =
    ["ok", "unsupported", "damaged", "encrypted", "no_text", "too_large", "timeout", "crashed"];
const OUTPUT: usize = 4 << 20;

/// A generator of numbers that gives the same ones each time: xorshift64*.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    if bytes.is_empty() {
        return;
    }
    match numbers.below(7) {
        0 => {
            for _ in 0..=numbers.below(30) {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
        }
        1 => bytes.truncate(numbers.below(bytes.len())),
        2 => {
            let from = numbers.below(other.len());
            let piece = &other[from..(from + numbers.below(400)).min(other.len())];
            let at = numbers.below(bytes.len());
            bytes.splice(at..at, piece.iter().copied());
        }
        3 => {
            let at = numbers.below(bytes.len());
            let to = (at + numbers.below(200)).min(bytes.len());
            bytes.drain(at..to);
        }
        4 => {
            let at = numbers.below(bytes.len());
            let to = (at + numbers.below(64)).min(bytes.len());
            let fill = [0, 0xff, b'<', b'9', b'{'][numbers.below(5)];
            bytes[at..to].fill(fill);
        }
        5 => {
            // Numbers that are read as lengths, counts and places.
            let digits: Vec<usize> =
                (0..bytes.len()).filter(|n| bytes[*n].is_ascii_digit()).collect();
            for _ in 0..5 {
                if let Some(at) = digits.get(numbers.below(digits.len())) {
                    bytes[*at] = b'0' + numbers.below(10) as u8;
                }
            }
        }
        _ => {
            let at = numbers.below(bytes.len());
            let to = (at + numbers.below(300)).min(bytes.len());
            let piece = bytes[at..to].to_vec();
            for _ in 0..=numbers.below(50) {
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// The same within one part of a zip file, whose checksum is then right: otherwise hardly a change is seen.
fn mutate_part(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let chosen = numbers.below(archive.len());
    let mut written = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..archive.len() {
        let mut part = archive.by_index(n).ok()?;
        let name = part.name().ok()?.into_owned();
        let mut content = Vec::new();
        part.read_to_end(&mut content).ok()?;
        if n == chosen {
            mutate(&mut content, other, numbers);
        }
        written.start_file(name, zip::write::SimpleFileOptions::default()).ok()?;
        written.write_all(&content).ok()?;
    }
    Some(written.finish().ok()?.into_inner())
}

fn mutant(cases: &[Case], n: usize) -> (&Case, Vec<u8>) {
    let mut numbers =
        Numbers(0x9e37_79b9_7f4a_7c15 ^ (n as u64 + 1).wrapping_mul(0xff51_afd7_ed55_8ccd));
    numbers.next();
    let case = &cases[n % cases.len()];
    let other = &cases[numbers.below(cases.len())].bytes;
    let mut bytes = case.bytes.clone();
    if bytes.starts_with(b"PK") && numbers.below(4) > 0 {
        bytes = mutate_part(&bytes, other, &mut numbers).unwrap_or(bytes);
    } else {
        for _ in 0..=numbers.below(3) {
            mutate(&mut bytes, other, &mut numbers);
        }
    }
    (case, bytes)
}

#[test]
fn changed_files_end_within_limits_and_are_classified() {
    let count =
        std::env::var("RAG_PG_EXTRACT_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let cases = cases();
    let output = OUTPUT.to_string();
    let limits = [
        "--max-seconds",
        "5",
        "--max-memory",
        "536870912",
        "--max-pages",
        "2000",
        "--max-output",
        &output,
    ];
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |worker: usize| {
        let mut found: BTreeMap<(&str, String), usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for n in (worker..count).step_by(workers) {
            let (case, bytes) = mutant(&cases, n);
            let arguments: Vec<&str> = limits.iter().chain(&case.arguments).copied().collect();
            let run = run(&bytes, &arguments);
            let class = run.class();
            // JSON writes a control character in six bytes; a page has some bytes of its own.
            if !CLASSES.contains(&class.as_str()) || run.bytes > OUTPUT * 6 + 2000 * 1000 {
                wrong.push(format!("{n}, {}: {class}, {} bytes", case.name, run.bytes));
            }
            // Our own readers never crash; pdfium may, in its own process.
            if class == "crashed"
                && (case.format != "pdf" || std::env::var_os("RAG_PG_EXTRACT_CRASHES").is_some())
            {
                wrong.push(format!("{n}, {}: {:?}", case.name, run.crash));
            }
            *found.entry((case.format, class)).or_default() += 1;
        }
        (found, wrong)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker")).collect()
    });
    let mut all: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (found, misses) in results {
        for (key, n) in found {
            *all.entry(key).or_default() += n;
        }
        wrong.extend(misses);
    }
    println!("{all:?}");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(all.values().sum::<usize>(), count);
}
