//! The tests' provider as a program, for tests that are not written in Rust: prints its address, and ends
//! when its input does, or after the seconds of its argument,
//! ten minutes where there is none.
#[path = "../tests/provider/mod.rs"]
#[allow(dead_code, missing_docs)] // what the tests in Rust use
mod provider;

use std::io::Read;
use std::time::Duration;

fn main() {
    let server = provider::server::Server::start();
    println!("{}", server.address);
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok());
    std::thread::spawn(move || {
        std::thread::sleep(seconds.map_or(Duration::from_mins(10), Duration::from_secs));
        std::process::exit(1);
    });
    let _ = std::io::stdin().read(&mut [0]);
}
