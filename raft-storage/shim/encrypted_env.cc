// Hands a cipher that is written in Rust to RocksDB's encrypted file system (rocksdb/env_encryption.h): each file begins with
// a header, and what follows is encrypted as it is written and decrypted as it is read. RocksDB knows when, at which place of
// which file; the functions below know nothing but whom to ask. `raft-storage/src/engine/encrypted.rs` is the other half.
//
// Nothing here throws: RocksDB is not exception-safe, and the functions of the other half end the process where they panic.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "rocksdb/env.h"
#include "rocksdb/env_encryption.h"

// As in RocksDB's db/c.cc, which frees it.
struct rocksdb_env_t {
  rocksdb::Env* rep;
  bool is_default;
};

extern "C" {

// As `Cipher` in encrypted.rs.
struct rotunda_cipher {
  void* keys;
  size_t header_bytes;
  // Fills the header of a new file. False where there is no randomness to be had.
  bool (*new_header)(const void* keys, char* header, size_t bytes);
  // The stream of a file with this header; null, and the reason in `why`, where it cannot be read.
  void* (*open)(const void* keys, const char* header, size_t bytes, char* why, size_t why_bytes);
  // Encrypts or decrypts what stands at `offset` of the file, header included.
  void (*apply)(const void* stream, uint64_t offset, char* data, size_t bytes);
  void (*close)(void* stream);
  void (*drop_keys)(void* keys);
};
}

namespace {

class Stream final : public rocksdb::BlockAccessCipherStream {
 public:
  Stream(const rotunda_cipher& cipher, void* stream) : cipher_(cipher), stream_(stream) {}
  ~Stream() override { cipher_.close(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  size_t BlockSize() override { return 16; }

  rocksdb::Status Encrypt(uint64_t offset, char* data, size_t bytes) override {
    cipher_.apply(stream_, offset, data, bytes);
    return rocksdb::Status::OK();
  }

  // Counter mode: the same operation.
  rocksdb::Status Decrypt(uint64_t offset, char* data, size_t bytes) override {
    return Encrypt(offset, data, bytes);
  }

 protected:
  // Called by the default implementations of the two above, and by nobody else.
  void AllocateScratch(std::string&) override {}
  rocksdb::Status EncryptBlock(uint64_t, char*, char*) override { return rocksdb::Status::NotSupported(); }
  rocksdb::Status DecryptBlock(uint64_t, char*, char*) override { return rocksdb::Status::NotSupported(); }

 private:
  const rotunda_cipher& cipher_;
  void* const stream_;
};

class Provider final : public rocksdb::EncryptionProvider {
 public:
  explicit Provider(const rotunda_cipher& cipher) : cipher_(cipher) {}
  ~Provider() override { cipher_.drop_keys(cipher_.keys); }
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  const char* Name() const override { return "RotundaAes256Ctr"; }

  size_t GetPrefixLength() const override { return cipher_.header_bytes; }

  rocksdb::Status CreateNewPrefix(const std::string& file, char* prefix, size_t bytes) const override {
    if (!cipher_.new_header(cipher_.keys, prefix, bytes)) {
      return rocksdb::Status::IOError("no randomness for the key of " + file);
    }
    return rocksdb::Status::OK();
  }

  rocksdb::Status AddCipher(const std::string&, const char*, size_t, bool) override {
    return rocksdb::Status::NotSupported();
  }

  rocksdb::Status CreateCipherStream(const std::string& file, const rocksdb::EnvOptions&, rocksdb::Slice& prefix,
                                     std::unique_ptr<rocksdb::BlockAccessCipherStream>* result) override {
    char why[256] = {};
    void* stream = cipher_.open(cipher_.keys, prefix.data(), prefix.size(), why, sizeof(why) - 1);
    if (stream == nullptr) {
      return rocksdb::Status::Corruption(file, why);
    }
    // The streams of a file system live no longer than its provider.
    *result = std::make_unique<Stream>(cipher_, stream);
    return rocksdb::Status::OK();
  }

 private:
  const rotunda_cipher cipher_;
};

}  // namespace

extern "C" rocksdb_env_t* rotunda_encrypted_env(const rotunda_cipher* cipher) {
  auto provider = std::make_shared<Provider>(*cipher);
  rocksdb::Env* env = rocksdb::NewEncryptedEnv(rocksdb::Env::Default(), provider);
  return new rocksdb_env_t{env, false};
}
