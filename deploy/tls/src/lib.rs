//! Who speaks: the certificates of a cluster's processes. Nodes, routers and tools show each other certificates of the
//! cluster's own authority over TLS 1.3, and what stands in them decides what a caller may do and whether the callee is the
//! one that was meant. There is no code for older versions of TLS in the binaries.
//!
//! [`identity`] is what a certificate says, [`files`] where it lies and who may read it, [`mutual`] the two ends of a
//! connection inside the cluster, [`door`] the one end that visitors see, [`renewal`] takes new files up while connections go
//! on, [`authority`] makes the files. Servers, the client library and `rotunda certs` call it. It knows no booking and no
//! gRPC: who may call what is decided where calls are served (`node/src/grpc/admission.rs`).

pub mod authority;
mod der;
pub mod door;
pub mod files;
pub mod identity;
pub mod mutual;
pub mod renewal;
mod verifiers;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one set of ciphers and curves: ring's.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
