//! One file's key stream: AES-256 in counter mode, so that any place of the file can be read and written by itself.

use aes::Aes256;
use ctr::cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _, StreamCipherCoreWrapper, StreamCipherSeek as _};
use ctr::{CtrCore, flavors::Ctr128BE};

use super::KEY_BYTES;

/// Encrypts and decrypts one file, at any place of it, on any thread.
pub(crate) struct FileCipher(Option<Sealed>);

struct Sealed {
    /// Expanded once; it forgets the key when it is dropped.
    aes: Aes256,
    counter: [u8; 16],
}

impl FileCipher {
    pub(super) fn new(key: &[u8; KEY_BYTES], counter: [u8; 16]) -> Self {
        Self(Some(Sealed {
            aes: Aes256::new(key.into()),
            counter,
        }))
    }

    /// Of a file in which nothing was written: what is there stays as it is.
    pub(super) fn blank() -> Self {
        Self(None)
    }

    /// Encrypts what is plain and decrypts what is not. `offset` is counted from the beginning of the file, header included.
    pub(crate) fn apply(&self, offset: u64, data: &mut [u8]) {
        let Some(Sealed { aes, counter }) = &self.0 else { return };
        let core = CtrCore::<_, Ctr128BE>::inner_iv_init(aes.clone(), counter.into());
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        stream.seek(offset);
        stream.apply_keystream(data);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// NIST SP 800-38A, F.5.5: CTR-AES256.Encrypt.
    #[test]
    fn it_is_what_the_standard_says() {
        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
        let counter = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        let mut data = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        let cipher = FileCipher::new(key.as_slice().try_into().unwrap(), counter.try_into().unwrap());
        cipher.apply(0, &mut data);
        assert_eq!(
            hex::encode(data),
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
             2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        );
    }

    proptest! {
        /// In pieces, at any place, it is what it is in one.
        #[test]
        fn a_piece_is_a_piece_of_the_whole(start in 0..10_000_u64, cuts in prop::collection::vec(0..400_usize, 0..6)) {
            let cipher = FileCipher::new(&[7; KEY_BYTES], [0xff; 16]);
            let mut whole = vec![0; 400];
            cipher.apply(start, &mut whole);
            let mut cuts = cuts;
            cuts.extend([0, 400]);
            cuts.sort_unstable();
            let mut pieces = vec![0; 400];
            for pair in cuts.windows(2) {
                cipher.apply(start + pair[0] as u64, &mut pieces[pair[0]..pair[1]]);
            }
            prop_assert_eq!(whole, pieces);
        }
    }
}
