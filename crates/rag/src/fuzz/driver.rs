//! Runs every target over mutated seeds: a few seconds in all, or `RAG_PG_FUZZ_SECONDS` a target. What fails is
//! written to a file that `RAG_PG_FUZZ_INPUT` runs again: `TARGET:PATH`.
use super::{TARGETS, Target};
use std::panic::catch_unwind;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "../../tests/support/clock.rs"]
mod clock;
#[path = "../../tests/support/tiny_model.rs"]
mod tiny_model;

use tiny_model::{Random, TinyModel};

/// For each target where nothing else is said.
const DEFAULT: Duration = Duration::from_millis(400);
/// Most seeds, those included that earlier inputs became.
const MAX_SEEDS: usize = 64;
/// Largest input that is made, except from larger seeds.
const MAX_LENGTH: usize = 16 << 10;
/// Most that an input may take, and each of its bytes: the program is not optimised, and the machine is shared.
const LIMIT: Duration = Duration::from_secs(2);
const LIMIT_PER_BYTE: Duration = Duration::from_micros(100);

/// What inputs are put together from besides bytes.
const WORDS: &str = "<p>|</p>|<table>|<td>|</tr>|<pre>|<!--|-->|<![CDATA[|<script>|</script>|<h1>|<li>|<ul>|&amp;|&#x|<title>|<br>|\
    # |## |> |- |1. |```|~~~|    |**|_|[a](b)|[^1]: |![|](|\\|---|\n|\n\n|\r\n|\t|\u{c}|\u{2028}|. |? |: |é|中|。|👩\u{200d}👧|e\u{301}\
    |\u{323}|\u{1d165}|\u{feff}|\u{ad}|\0|{|}|[|]|\"|,|:|null|true|false|0|-1|1e308|1e309|18446744073709551615|0.5|\"a\"|\\u0000|\\ud800|\
    \"and\"|\"or\"|\"not\"|\"in\"|\"gte\"|\"exists\"|\"claims\":[|\"text\":|\"quotes\":[|\"passage\":1|\"quote\":\"|\
    data: |data: [DONE]|event: x|\"error\":{|\"choices\":[|\"delta\":{|\"content\":\"|\"type\":\"content_block_delta\"|\"index\":0|\
    \"embedding\":[|\"data\":[|\"results\":[|\"relevance_score\":|\"usage\":{|\"prompt_tokens\":|http://|https://|[::1]|:443|/../|%2e|@|?a=b|\
    [CLS]|[UNK]|##|\"vocab\":{|\"added_tokens\":[|\"unk_token\":|\"hidden_size\":|\"num_hidden_layers\":|\"PK\u{3}\u{4}|config.json|*|Retry|GMT|-|~";

/// Inputs that get far into a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let encoder = TinyModel::encoder(1);
    match target {
        "html" => text(&[
            "\x08\x02<html><head><title>T</title></head><body><h1>A b</h1><p>One two. Three <b>four</b>.</p><ul><li>x<li>y</ul><table><tr><td>1<td>2</table><pre>a\n b</pre>",
        ]),
        "markdown" => text(&[
            "\x08\x02# A\n\nOne *two*. Three `four`.\n\n- x\n- y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```c\nint x;\n```\n\n> q\n\n[l](u)\n",
        ]),
        "plain" => text(&[
            "\x08\x02One two. Three four? Five\n\nSix:\n  seven\u{c}Eight. 中文。日本語。",
            "\x03\x01a b c d e f g h i j",
        ]),
        "filter" => text(&[
            r#"{"lang":"en","year":{"gte":2020,"lt":2030},"or":[{"a":[1,2]},{"not":{"b":null}}],"and":[{"c":{"exists":true}}]}"#,
        ]),
        "query" => text(&["one \"two three\" -four -\"five six\" 中文字 ไทย x-y --z"]),
        "claims" => text(&[
            "\x07The lock mode ACCESS SHARE conflicts only.\0Sure: ```json\n{\"claims\":[{\"text\":\"It is so\",\"quotes\":[{\"passage\":1,\"quote\":\"the lock mode access share\"}]},{\"text\":\"b [2]\",\"quotes\":[{\"passage\":\"2\",\"quote\":\"Another one.\"}]}]}\n```",
        ]),
        "sse" => text(&[
            "\x05data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n",
            "\x05event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n",
            "\x05{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{\"content\":\"b\"},\"done\":true,\"done_reason\":\"length\",\"eval_count\":3}\n",
            "\x05data: {\"type\":\"content-delta\",\"delta\":{\"message\":{\"content\":{\"text\":\"a\"}}}}\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n",
            "\x05{\"choices\":[{\"message\":{\"content\":\"all\"}}]}",
        ]),
        "replies" => text(&[
            r#"{"data":[{"index":0,"embedding":[0.5,-1]}],"usage":{"prompt_tokens":"3"}}"#,
            r#"{"results":[{"index":2,"relevance_score":0.5},{"index":0,"relevance_score":0.25}],"usage":{"total_tokens":3}}"#,
            r#"[{"index":0,"score":1}]"#,
            "[[0.5,1]]",
            r#"{"embeddings":{"float":[[1,2]]},"meta":{"billed_units":{"input_tokens":2}}}"#,
            r#"{"error":{"message":"Rate limit: slow down","type":"x","code":429,"metadata":{"raw":"[]"}}}"#,
            r#"{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1}}"#,
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "1h2m3.5s",
            "2015-10-21T07:28:00Z",
        ]),
        "frames" => {
            let frame =
                |json: &str| [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat();
            let document =
                frame(r#"{"document":{"format":"pdf","pages":2,"metadata":{"title":"T"}}}"#);
            let pages = [
                frame(r#"{"page":1,"content":"The first part of","metadata":{"label":"i"}}"#),
                frame(r#"{"page":2,"content":"a sentence.\n\n| a |","metadata":{"sheet":"S"}}"#),
            ];
            let end = frame(r#"{"end":{"pages":2,"characters":30}}"#);
            let error = frame(r#"{"error":{"class":"damaged","message":"no xref","detail":null}}"#);
            vec![
                [&b"\x07"[..], &document, &pages.concat(), &end].concat(),
                [&b"\x01"[..], &document, &pages[0], &error].concat(),
            ]
        }
        "urls" => text(&[
            "https://api.example.com:8443/v1?api-version=2",
            "http://[::1]:80/a",
            "localhost:11434,*.example.com,10.0.0.0/8,[::1]",
        ]),
        "tokenizer" => {
            let with = |json: &[u8]| {
                [json, b"\0The running [CLS] stra\xc3\x9fe \xe4\xb8\xad\xe6\x96\x87, na\xc3\xafve e\xcc\x81"].concat()
            };
            let small = br#"{"version":"1.0","added_tokens":[],"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"\#\#","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1,"\#\#b":2}}}"#;
            let small = String::from_utf8_lossy(small).replace("\\#", "#");
            vec![with(&encoder.tokenizer.clone().unwrap_or_default()), with(small.as_bytes())]
        }
        "weights" => {
            let config = serde_json::to_vec(&encoder.config).unwrap();
            let imported = bundle(&encoder);
            let tensors = encoder.safetensors();
            vec![[&config[..], b"\0", &tensors].concat(), imported.0, imported.1]
        }
        "wheel" => {
            let models = [encoder, TinyModel::cross_encoder(2)].map(|model| model.files());
            let packed = models.map(|files| {
                super::pack(files.iter().map(|(name, content)| (&**name, &**content)))
            });
            let zips = packed.each_ref().map(|packed| super::zipped(packed).unwrap());
            packed.into_iter().chain(zips).collect()
        }
        "inverted" => {
            let segment = |chunks: i64| {
                let mut builder = crate::inverted::Builder::default();
                for id in 1..=chunks {
                    let often = ("a".to_owned(), 1 + id as usize % 3);
                    let seldom = (format!("lexeme{}", id % 11), 1);
                    let lexemes = [often, seldom];
                    builder.add(id * 2, lexemes.iter().map(|(lexeme, n)| (lexeme.as_bytes(), *n)));
                }
                builder.finish_inline().expect("lexemes are text")
            };
            vec![segment(1), segment(20), segment(300)]
        }
        "wire" => {
            vec![vec![8; 300], br#"{"char_start":3,"fields":{"a":1}}"#.to_vec(), vec![0; 200]]
        }
        other => panic!("no seeds for {other}"),
    }
}

/// The manifest and the graph of a model.
fn bundle(model: &TinyModel) -> (Vec<u8>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    model.write(directory.path());
    let source = crate::model::import::source::ModelSource::open(directory.path()).unwrap();
    let precision = crate::model::manifest::Precision::Int8;
    let options =
        crate::model::import::Options { name: "m".into(), precision, origin: "here".into() };
    let imported = crate::model::import::import(&source, &options).unwrap();
    (imported.manifest.to_json(), imported.model)
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.next() % limit.max(1) as u64) as usize
}

/// Changes an input in a few places.
fn mutated(seeds: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[below(random, seeds.len())].clone();
    let most = MAX_LENGTH.max(input.len());
    for _ in 0..=below(random, 6) {
        let at = below(random, input.len() + 1);
        let end = (at + below(random, 64)).min(input.len());
        match below(random, 10) {
            0 if at < input.len() => input[at] ^= 1 << below(random, 8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => _ = input.drain(at..end),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..end].repeat(1 + below(random, 400));
                input.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[below(random, seeds.len())];
                let from = below(random, other.len() + 1);
                let to = (from + below(random, 256)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            6 => {
                let bytes = (0..below(random, 9)).map(|_| random.next() as u8).collect::<Vec<_>>();
                input.splice(at..at, bytes);
            }
            7 => {
                let word = words[below(random, words.len())]
                    .repeat(1 + below(random, 3) * below(random, 300));
                input.splice(at..at, word.bytes());
            }
            _ => {
                let word = words[below(random, words.len())];
                input.splice(at..end.min(at + word.len()), word.bytes());
            }
        }
    }
    input.truncate(most);
    input
}

/// Runs one input; what went wrong with it, if anything.
fn run((_, target): Target, input: &[u8]) -> Option<String> {
    let started = clock::now();
    let outcome = catch_unwind(|| target(input));
    let took = clock::now().saturating_sub(started);
    let limit = LIMIT + LIMIT_PER_BYTE * input.len() as u32;
    match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Some(text.unwrap_or_default())
        }
        Ok(()) => (took > limit).then(|| format!("{took:?} for {} bytes", input.len())),
    }
}

fn fuzz(name: &str) {
    let target = *TARGETS.iter().find(|target| target.0 == name).expect("a target of that name");
    if let Some(again) =
        std::env::var("RAG_PG_FUZZ_INPUT").ok().filter(|again| again.starts_with(name))
    {
        let input = std::fs::read(&again[name.len() + 1..]).unwrap();
        assert_eq!(run(target, &input), None);
        return;
    }
    let seconds = std::env::var("RAG_PG_FUZZ_SECONDS").ok().and_then(|given| given.parse().ok());
    let duration = seconds.map_or(DEFAULT, Duration::from_secs_f64);
    // Always the same inputs unless more are asked for.
    let clock =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let mut random = Random(if seconds.is_some() { clock } else { 1 });
    let mut seeds = seeds(name);
    let given = seeds.len();
    for seed in &seeds {
        assert_eq!(run(target, seed), None, "the seed {:?}", String::from_utf8_lossy(seed));
    }
    let words: Vec<&str> = WORDS.split('|').collect();
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < duration {
        let input = mutated(&seeds, &words, &mut random);
        if let Some(why) = run(target, &input) {
            let path = std::env::temp_dir().join(format!("rag-fuzz-{name}"));
            std::fs::write(&path, &input).unwrap();
            panic!("{name}: {why}; RAG_PG_FUZZ_INPUT={name}:{} runs it again", path.display());
        }
        count += 1;
        // Some go on from where others are.
        if count % 16 == 0 && input.len() < MAX_LENGTH {
            if seeds.len() < MAX_SEEDS {
                seeds.push(input);
            } else {
                let at = given + below(&mut random, MAX_SEEDS - given);
                seeds[at] = input;
            }
        }
    }
    eprintln!("{name}: {count} inputs");
}

macro_rules! fuzz {
    ($($name:ident),*) => { $(#[test] fn $name() { fuzz(stringify!($name)); })* };
}

fuzz!(
    html, markdown, plain, filter, query, claims, sse, replies, urls, tokenizer, weights, wheel,
    wire, inverted
);
