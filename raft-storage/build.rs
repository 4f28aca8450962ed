//! Compiles the few lines of C++ that hand a cipher of ours to RocksDB's encrypted file system (`shim/`). RocksDB's own C
//! interface does not reach it.

fn main() {
    println!("cargo::rerun-if-changed=shim");
    // Where the crate that compiled RocksDB keeps its sources: the headers have to be those of the same version.
    let Ok(rocksdb) = std::env::var("DEP_ROCKSDB_CARGO_MANIFEST_DIR") else {
        println!("cargo::error=librocksdb-sys does not say where its headers are (DEP_ROCKSDB_CARGO_MANIFEST_DIR)");
        return;
    };
    cc::Build::new()
        .cpp(true)
        // As librocksdb-sys compiles RocksDB itself: what a header declares depends on it.
        .std("c++20")
        .define("NDEBUG", "1")
        .include(format!("{rocksdb}/rocksdb/include"))
        .file("shim/encrypted_env.cc")
        .compile("rotunda_encrypted_env");
}
