//! Turns `proto/*.proto` into Rust. protox parses them in Rust, so building needs no `protoc` on the machine.

use std::error::Error;

const FILES: [&str; 3] = ["proto/booking.proto", "proto/raft.proto", "proto/admin.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure()
        // `Bytes` for every bytes field: a command is encoded once and then only ever counted by reference.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
