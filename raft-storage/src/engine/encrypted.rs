//! The files of RocksDB, encrypted: its own encrypted file system over the machine's, with [`crate::at_rest`] as the cipher.
//! RocksDB's interface for that is C++; `shim/encrypted_env.cc` is the other half of this file, and nothing else here is unsafe.

#![allow(unsafe_code, reason = "RocksDB calls back through C")]

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use rocksdb::Env;

use crate::at_rest::{FileCipher, HEADER_BYTES, Keys, header};

/// As `rotunda_cipher` in the shim.
#[repr(C)]
struct Cipher {
    keys: *mut c_void,
    header_bytes: usize,
    new_header: extern "C" fn(*const c_void, *mut c_char, usize) -> bool,
    open: extern "C" fn(*const c_void, *const c_char, usize, *mut c_char, usize) -> *mut c_void,
    apply: extern "C" fn(*const c_void, u64, *mut c_char, usize),
    close: extern "C" fn(*mut c_void),
    drop_keys: extern "C" fn(*mut c_void),
}

unsafe extern "C" {
    /// Copies `cipher`, and owns its keys from then on.
    fn rotunda_encrypted_env(cipher: *const Cipher) -> *mut librocksdb_sys::rocksdb_env_t;
}

/// An environment in which all files are encrypted. Databases that are opened in it may share it.
pub(crate) fn env(keys: Arc<Keys>) -> Env {
    let cipher = Cipher {
        keys: Arc::into_raw(keys).cast_mut().cast(),
        header_bytes: HEADER_BYTES,
        new_header,
        open,
        apply,
        close,
        drop_keys,
    };
    // SAFETY: the shim copies the struct before it returns, which is laid out as its own; what it returns was made by `new`
    // with the layout that RocksDB frees, and nobody else has it.
    unsafe { Env::from_raw(rotunda_encrypted_env(&raw const cipher)) }
}

// What follows is called by the shim, from any thread, with the keys that it was given and not yet gave back, with streams
// that `open` made and `close` did not yet take, and with memory of its own that is as long as it says. A panic in an
// `extern "C"` function ends the process.

extern "C" fn new_header(keys: *const c_void, header_at: *mut c_char, bytes: usize) -> bool {
    // SAFETY: as above.
    let (keys, head) = unsafe { (&*keys.cast::<Keys>(), memory(header_at, bytes)) };
    header::write(keys, head)
}

extern "C" fn open(
    keys: *const c_void,
    header_at: *const c_char,
    bytes: usize,
    why: *mut c_char,
    why_bytes: usize,
) -> *mut c_void {
    // SAFETY: as above.
    let (keys, head, why) = unsafe {
        (
            &*keys.cast::<Keys>(),
            memory(header_at.cast_mut(), bytes),
            memory(why, why_bytes),
        )
    };
    match header::open(keys, head) {
        Ok(cipher) => Box::into_raw(Box::new(cipher)).cast(),
        Err(error) => {
            // What stays behind it is zeros already.
            let said = error.to_string();
            for (to, from) in why.iter_mut().zip(said.bytes()) {
                *to = from;
            }
            ptr::null_mut()
        }
    }
}

extern "C" fn apply(stream: *const c_void, offset: u64, data: *mut c_char, bytes: usize) {
    // SAFETY: as above.
    let (cipher, data) = unsafe { (&*stream.cast::<FileCipher>(), memory(data, bytes)) };
    cipher.apply(offset, data);
}

extern "C" fn close(stream: *mut c_void) {
    // SAFETY: as above; `open` made it of a box.
    drop(unsafe { Box::from_raw(stream.cast::<FileCipher>()) });
}

extern "C" fn drop_keys(keys: *mut c_void) {
    // SAFETY: as above; `env` made it of an `Arc`.
    drop(unsafe { Arc::from_raw(keys.cast::<Keys>().cast_const()) });
}

/// # Safety
/// `at` is of `bytes` bytes, or null where there are none, and nobody else's meanwhile.
unsafe fn memory<'a>(at: *mut c_char, bytes: usize) -> &'a mut [u8] {
    if at.is_null() || bytes == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(at.cast(), bytes) }
}
