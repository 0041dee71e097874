//! Time grows with the text and no faster, whatever its shape: what a few thousand bytes of it take tells what a
//! document of megabytes takes. Measured in the thread's own processor time, so that a busy machine does not matter.
#[path = "support/clock.rs"]
mod clock;
#[path = "support/tokenizers.rs"]
mod support;

use clock::now;
use rag::chunk::{Format, Options, chunk, sentences};
use rag::model::tokenizer::Tokenizer;
use rag::search::analysis;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

/// Bytes of the smaller text; the larger has `FACTOR` times as many.
const SIZE: usize = 12 << 10;
const FACTOR: usize = 8;
/// Times as long as the smaller that the larger may take: quadratic work takes 64.
const MOST: f64 = 20.0;
/// What takes less is not worth a look: it is noise.
const NOISE: Duration = Duration::from_millis(25);
/// Most that any text of this size may take, quadratic within a window or not. Unoptimised, as tests are.
const LONGEST: Duration = Duration::from_millis(1500);
/// Generated shapes, and the time for them.
const GENERATED: u64 = 150;
const PATIENCE: Duration = Duration::from_mins(1);

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let json = support::installed().unwrap_or_else(|| support::bert(support::UNCASED, ""));
    Tokenizer::from_bytes(&json).unwrap()
});

fn timed(work: impl FnOnce()) -> Duration {
    let started = now();
    work();
    now().saturating_sub(started)
}

/// What is done with a text.
type Work = (&'static str, fn(&str));

fn chunked(text: &str, format: Format, max_tokens: usize) {
    let overlap_tokens = max_tokens / 5;
    let options = Options {
        max_tokens,
        overlap_tokens,
        format,
        heading_tokens: max_tokens / 4,
        window: max_tokens,
    };
    let chunked = chunk(text, &options, &*TOKENIZER, &mut || Ok(())).unwrap();
    std::hint::black_box(chunked.chunks.len());
}

const WORKS: [Work; 7] = [
    ("plain", |text| chunked(text, Format::Plain, 254)),
    ("markdown", |text| chunked(text, Format::Markdown, 254)),
    ("html", |text| chunked(text, Format::Html, 254)),
    ("small chunks", |text| chunked(text, Format::Auto, 8)),
    ("sentences", |text| _ = std::hint::black_box(sentences(text).count())),
    ("tokens", |text| _ = std::hint::black_box(TOKENIZER.count(text).unwrap())),
    ("analysis", |text| _ = std::hint::black_box(analysis::for_documents(text).len())),
];

/// A text of so many bytes, perhaps with something before and behind it.
struct Shape {
    name: String,
    make: Box<dyn Fn(usize) -> String>,
}

fn shape(name: impl Into<String>, make: impl Fn(usize) -> String + 'static) -> Shape {
    Shape { name: name.into(), make: Box::new(make) }
}

fn repeated(unit: &'static str) -> Shape {
    shape(format!("{unit:?} repeated"), move |size| unit.repeat(size / unit.len()))
}

fn between(before: &'static str, unit: &'static str, after: &'static str) -> Shape {
    let name = format!("{before:?}, {unit:?} repeated, {after:?}");
    shape(name, move |size| format!("{before}{}{after}", unit.repeat(size / unit.len())))
}

fn nested(open: &'static str, close: &'static str) -> Shape {
    shape(format!("{open:?} and {close:?} nested"), move |size| {
        let depth = size / (open.len() + close.len());
        format!("{}x{}", open.repeat(depth), close.repeat(depth))
    })
}

fn numbered(before: &'static str, item: &'static str, after: &'static str) -> Shape {
    shape(format!("{before:?}, {item:?} numbered, {after:?}"), move |size| {
        let mut text = before.to_owned();
        for i in 0.. {
            if text.len() >= size {
                break;
            }
            let _ = write!(text, "{}", item.replace('#', &i.to_string()));
        }
        text + after
    })
}

/// Units to repeat.
const REPEATED: &str = "👩\u{200d}‖👩\u{200d}👧 ‖\u{301}‖e\u{301}\u{323}‖\u{323}\u{301}‖क्‖क्\u{200d}‖🇩🇪‖\u{200d}‖\u{fe0f}‖\u{1f3fb}‖ᄀ‖한‖\
    中‖中。‖ไ‖ﷺ‖\u{200b}‖\u{ad}‖\u{1d165}\u{302e}‖x\u{301}.‖x‖x ‖X‖X.‖.‖. ‖.)‖)‖\"‖'‖a'‖a.‖a:‖1.‖1,‖!‖?‖…‖ ‖\n‖\t‖\
    \r\n‖\u{2028}‖\u{85}‖\u{c}‖\u{a0}‖ \n‖x\n‖x\n\n‖1. ‖A. ‖fig. ‖e.g. ‖x.\n‖::‖[‖]‖[]‖[]()‖[x](‖![‖[^1]‖\
    [^1]: x\n‖[x]: y\n‖[x]:\n‖*‖_‖**‖*_‖*_*_‖* a ‖*a ‖a*‖`‖``‖`a‖``` ‖```\n‖~~~\n‖#‖# ‖# a\n‖###### a\n\n‖> ‖>‖\
    >\n‖- ‖- a\n‖-\n‖1. a\n‖    ‖\t- ‖|‖| a ‖|-|\n‖| a | b |\n‖|a|\n|-|\n‖---\n‖===\n‖a\n=\n‖\\‖\\\n‖&‖&amp;‖&#‖\
    &#x‖&#11‖&a‖&amp‖<‖<a‖<a ‖<a>‖<!--‖<!‖<?‖<![CDATA[‖</‖<x@‖<http:‖http://‖a@b.c ‖-->‖]]>‖+++\n‖$‖~‖~~‖^‖{‖}‖\
    <p>‖<div>‖</div>‖<table>‖<tr>‖<td>‖<ul>‖<li>‖<ul><li>‖<h1>‖<h1></h1>‖<b>‖<pre>‖</pre>‖<br>‖<svg>‖<script>‖\
    </script>‖<title>‖<nav>‖<nav></nav>‖<p class=‖<textarea>‖<a href='‖<a href=\"‖<table><td>‖<dl><dt>‖<!-- -‖\
    --!>‖<script><!--‖<h2>a<table>";
/// What is opened and closed, nested in itself.
const NESTED: &str = "[¦]‖(¦)‖[a](¦)‖*¦*‖*a **b ¦** c*‖<b>¦</b>‖<div>¦</div>‖<table><tr><td>¦</table>‖<ul><li>¦</ul>‖> ¦\n‖- ¦\n‖\
    ![¦]()‖<pre>¦</pre>‖\"¦\"‖{¦}‖<nav>¦</nav>";
/// What stands before many items, the item, whose `#` is its number, and what stands behind them.
const NUMBERED: &str = "<a¦ a#¦>x‖<a¦ a#='>'¦>x‖<a¦ a# = \"<\"¦>x‖</a¦ a#=b¦>x‖<a¦/a#¦‖¦<a# b>¦‖<title¦ a#¦>x</title>‖<p>¦<b a#=1>¦‖\
    ¦[a#]: b#\n¦[a1]‖¦[a#] ¦\n\n[a1]: b‖¦[^#]: b\n¦[^1]‖¦[^#] ¦‖¦# a#\n\nx\n\n¦‖¦&a#; ¦‖¦w# ¦‖¦w#.¦‖¦#.¦‖¦#. a\n¦‖\
    ¦`#` ¦‖¦<h2>#</h2>x¦‖|a|\n|-|\n¦|#|\n¦";
/// What stands before a unit that is repeated, the unit, and what stands behind it.
const BETWEEN: &str = "x¦ ¦x‖x.¦ ¦x‖x.¦)¦X‖x.¦\u{301}¦X‖x:¦\u{301}¦y‖👩¦\u{301}¦\u{200d}👧‖```\n¦a\n¦```‖<!--¦-¦-->‖<!--¦--¦>‖\
    <pre>¦\n¦</pre>‖<pre>¦a b\n¦</pre>‖---\n¦a: b\n¦---\n‖|a|\n|-|\n¦|b|\n¦\n‖> ¦a\n¦\n‖- ¦a\n¦\n‖# ¦a ¦\n‖\
    # ¦[a¦\n‖<h1>¦a ¦</h1>x‖<a href=\"¦a b=c ¦\">x‖<script>¦a<b c ¦</script>x‖<x ¦a¦>‖¦x\n¦# a\n‖[¦a¦](b)‖\
    [a](¦b¦)‖[a](<¦b¦>)‖[a](b \"¦c¦\")‖<¦a¦>‖&¦a¦;‖&#¦1¦;‖`¦a¦``‖| a |\n|¦-¦|\n‖|¦-|¦\n|a|‖¦a  \n¦‖¦    a\n\n¦‖\
    1¦0¦. a‖x¦\n \n¦y‖¦- \n¦x";

/// The parts of each shape in one of these lists.
fn parts<const N: usize>(list: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let parts = |shape: &'static str| shape.split('¦').collect::<Vec<_>>().try_into();
    list.split('‖').map(move |shape| parts(shape).expect("as many parts as the list has"))
}

fn known() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = parts(REPEATED).map(|[unit]| repeated(unit)).collect();
    shapes.extend(parts(NESTED).map(|[open, close]| nested(open, close)));
    shapes.extend(parts(NUMBERED).map(|[before, item, after]| numbered(before, item, after)));
    shapes.extend(parts(BETWEEN).map(|[before, unit, after]| between(before, unit, after)));
    shapes.push(shape("a wide table", |size| {
        let columns = size / 8;
        format!("{}\n{}\n{}", "|a".repeat(columns), "|-".repeat(columns), "|b\n".repeat(columns))
    }));
    shapes
}

/// The pieces of generated shapes.
const PIECES: &str = "a‖B‖ ‖\n‖\n\n‖.‖!‖\"‖)‖[‖]‖(‖*‖_‖`‖#‖>‖<‖/‖!--‖-->‖|‖-‖=‖:‖\\‖&‖;‖<p>‖</p>‖<td>‖<b ‖1.‖\t‖    ‖~‖\u{301}‖\
    \u{200d}‖👩‖क्‖中‖[^1]‖]:‖'";

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    fn text(&mut self, most: usize) -> String {
        let pieces: Vec<&str> = PIECES.split('‖').collect();
        (0..=self.below(most)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

fn generated(seed: u64) -> Shape {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (before, unit, after) = (random.text(3), random.text(5), random.text(3));
    let name = format!("{before:?}, {unit:?} repeated, {after:?} (seed {seed})");
    shape(name, move |size| format!("{before}{}{after}", unit.repeat(size / unit.len())))
}

/// What is wrong with the time that `work` takes for texts of a shape.
fn complaint(shape: &Shape, (name, work): Work) -> Option<String> {
    let (small, large) = ((shape.make)(SIZE), (shape.make)(FACTOR * SIZE));
    let mut took = timed(|| work(&large));
    if took < NOISE {
        return None;
    }
    let mut before = Duration::MAX;
    // A slow run is the machine's fault until the others are slow too.
    for _ in 0..3 {
        before = before.min(timed(|| work(&small)));
        if took.as_secs_f64() / before.as_secs_f64() > MOST || took > LONGEST {
            took = took.min(timed(|| work(&large)));
        }
    }
    let ratio = took.as_secs_f64() / before.as_secs_f64();
    let is_wrong = (ratio > MOST && took > NOISE) || took > LONGEST;
    is_wrong.then(|| {
        format!(
            "{name} of {}: {before:?}, and {took:?} for {FACTOR} times as much ({ratio:.0})",
            shape.name
        )
    })
}

fn complaints(shapes: impl Iterator<Item = Shape>) -> Vec<String> {
    // What is learnt once does not count.
    for (_, work) in WORKS {
        work("a b");
    }
    let started = now();
    let shapes = shapes.take_while(|_| now().saturating_sub(started) < PATIENCE);
    shapes.flat_map(|shape| WORKS.map(|work| complaint(&shape, work))).flatten().collect()
}

#[test]
fn known_texts_take_linear_time() {
    let complaints = complaints(known().into_iter());
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn generated_texts_take_linear_time() {
    let complaints = complaints((1..=GENERATED).map(generated));
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
