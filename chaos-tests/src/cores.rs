//! The same work on many things, over all cores of the machine.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many there are.
pub(crate) fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// What `work` gives of each thing, in their order. Whichever core is free takes the next one.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(number) else { return done };
            done.push((number, work(thing)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..count().min(things.len())).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_things() {
        let numbers: Vec<u64> = (0..1_000).collect();
        let squares = super::map(&numbers, |number| number * number);
        assert!(
            squares
                .iter()
                .zip(&numbers)
                .all(|(square, number)| *square == number * number)
        );
        assert_eq!(squares.len(), 1_000);
        assert!(super::map(&Vec::<u64>::new(), |number| *number).is_empty());
    }

    #[test]
    #[should_panic(expected = "the 17th")]
    fn a_panic_is_not_lost() {
        super::map(&[1, 5, 17, 2], |number| assert_ne!(*number, 17, "the 17th"));
    }
}
