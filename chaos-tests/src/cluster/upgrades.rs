//! A cluster whose programs change: a second router, and every process started again from another folder of programs.

use std::path::Path;

use super::{ASK, Cluster, http};
use crate::process::Process;
use crate::{binaries, ports, wait};

/// One more router.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) process: Process,
    pub(super) door: String,
}

impl Cluster {
    /// Starts one more router of the same settings, and waits until it is ready. Gives its door.
    ///
    /// # Panics
    /// Where it does not become so.
    pub async fn add_router(&mut self) -> String {
        let mut recipe = self.router.recipe().clone();
        let address = ports::free();
        for (flag, address) in [("--http", address), ("--admin", ports::free())] {
            let place = recipe.arguments.iter().position(|argument| argument == flag);
            recipe.arguments[place.expect("the flags of a router") + 1] = address.to_string();
        }
        recipe.name = format!("router at {address}");
        recipe.log = self.folder().join(format!("router-{}.log", address.port()));
        let door = format!("http://{address}");
        self.beside.push(Beside {
            process: Process::start(recipe),
            door: door.clone(),
        });
        self.until_door_ready(&door).await;
        door
    }

    /// The doors of all routers, the first one's first.
    #[must_use]
    pub fn doors(&self) -> Vec<String> {
        let beside = self.beside.iter().map(|router| router.door.clone());
        std::iter::once(self.door()).chain(beside).collect()
    }

    /// SIGTERM to a node; started from this folder of programs once it has ended, and not waited for.
    pub fn restart_node_from(&mut self, node: u32, programs: &Path) {
        self.terminate(node);
        self.start_node_from(node, programs);
    }

    /// Starts a stopped node from this folder of programs.
    pub fn start_node_from(&mut self, node: u32, programs: &Path) {
        let process = &mut self.member_mut(node).process;
        process.replace_program(program(programs, "rotunda-node"));
        process.start_again();
    }

    /// SIGTERM to the router with this door; started from this folder of programs once it has drained, and ready when this
    /// is done.
    ///
    /// # Panics
    /// Where there is no such router, or it does not become ready.
    pub async fn restart_router_from(&mut self, door: &str, programs: &Path) {
        let process = if door == self.door() {
            &mut self.router
        } else {
            let mut beside = self.beside.iter_mut();
            let found = beside.find(|router| router.door == door);
            &mut found.unwrap_or_else(|| panic!("there is no router at {door}")).process
        };
        tokio::task::block_in_place(|| process.terminate());
        process.replace_program(program(programs, "rotunda-router"));
        process.start_again();
        self.until_door_ready(door).await;
    }

    /// Waits until a router says on its public port that it is ready.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn until_door_ready(&mut self, door: &str) {
        wait::until(&format!("a ready router at {door}"), async || {
            self.check_processes();
            let answer = http().get(format!("{door}/readyz")).timeout(ASK).send().await;
            match answer {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(response.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}

fn program(folder: &Path, name: &str) -> std::path::PathBuf {
    binaries::path_in(folder, name).unwrap_or_else(|missing| panic!("{missing}"))
}
