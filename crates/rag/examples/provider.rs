//! The tests' provider as a program, for tests that are not written in Rust: prints its address, and ends
//! when its input does, or after ten minutes.
#[path = "../tests/provider/mod.rs"]
#[allow(dead_code, missing_docs)] // what the tests in Rust use
mod provider;

use std::io::Read;
use std::time::Duration;

fn main() {
    let server = provider::server::Server::start();
    println!("{}", server.address);
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_mins(10));
        std::process::exit(1);
    });
    let _ = std::io::stdin().read(&mut [0]);
}
