//! `rag-model`: imports, fetches, lists and verifies models.
use rag_pg::model::import::{self, Options, source::Source};
use rag_pg::model::install::{self, Outcome};
use rag_pg::model::manifest::Precision;
use std::path::Path;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let source = Source::open(Path::new(&args[1])).unwrap();
    let precision = if args.get(4).is_some() { Precision::Fp32 } else { Precision::Int8 };
    let o = Options { name: args[2].clone(), precision, origin: args[1].clone() };
    let i = import::import(&source, &o).unwrap();
    let r: Outcome = install::install(Path::new(&args[3]), &i).unwrap();
    println!("{r:?} {}", i.manifest.fingerprint);
}
