//! The whole HTTP surface over a cluster in a variable: golden scripts, limits, replays, hostile input, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod contract;
mod fake;
mod hostile;
mod house;
mod limits;
mod live;
mod live_streams;
mod replay;
mod script;
mod sockets;

use std::path::Path;

/// One test for each file, so that a failure names it.
macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testscripts/", stringify!($name), ".http");
                script::run(Path::new(file)).await;
            }
        )*

        #[test]
        fn every_script_is_run() {
            let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/testscripts"))
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let mut run = vec![$(concat!(stringify!($name), ".http")),*];
            run.sort_unstable();
            assert_eq!(files, run);
        }
    };
}

scripts! {
    availability_shows_what_is_left
    bad_bodies_are_pointed_at
    bad_headers_are_refused
    booking_from_hold_to_cancel
    catalogue_is_listed_and_paged
    changes_are_fed_to_staff
    cluster_trouble_says_what_to_do
    hold_runs_out
    import_is_validated_whole
    import_twice_changes_nothing
    no_such_route_or_method
    operator_changes_a_slot
    refusals_of_the_rules
    replays_answer_the_same
    tokens_open_what_they_may
}
