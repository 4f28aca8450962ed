//! `mutant!(Name)`: whether the seeded bug of this name is on. Without the feature `mutants`, which only the simulator's own
//! build has, it is `false`, and the compiler drops what depends on it.

#[cfg(feature = "mutants")]
pub(crate) use rotunda_mutant::mutant;

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

#[cfg(not(feature = "mutants"))]
pub(crate) use mutant;
