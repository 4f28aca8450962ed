//! The whole HTTP surface over a cluster in a variable: golden scripts, limits, replays, hostile input, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod beside;
mod contract;
mod coverage;
mod fake;
mod hostile;
mod house;
mod http2;
mod limits;
mod live;
mod live_streams;
mod prober;
mod qr;
mod replay;
mod reports;
mod script;
mod secured;
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
    a_cluster_is_upgraded
    availability_shows_what_is_left
    bad_bodies_are_pointed_at
    bad_headers_are_refused
    booking_from_hold_to_cancel
    cancel_some_lines
    catalogue_is_listed_and_paged
    catalogue_speaks_to_visitors
    changes_are_fed_to_staff
    cluster_trouble_says_what_to_do
    counter_takes_cash
    every_route_once
    gates_admit
    hold_runs_out
    import_is_validated_whole
    import_twice_changes_nothing
    ledger_and_reports
    limits_are_set_and_met
    members_show_a_claim
    no_such_route_or_method
    operator_changes_a_slot
    products_are_looked_for
    rebook_to_other_places
    refusals_of_the_rules
    replays_answer_the_same
    staff_are_on_record
    staff_routes_need_a_token
    ticket_keys_are_rotated
    tickets_and_their_codes
    tokens_are_issued_and_revoked
    tokens_open_what_they_may
    venues_are_looked_for
}
