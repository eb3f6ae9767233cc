//! The commands of the README, as they are printed.

mod support;

use std::{os::unix::fs::symlink, path::Path, process::Command};

use support::node::Node;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

#[test]
fn each_command_of_the_second_terminal_works_as_printed_and_in_that_order() {
    if Command::new("curl").arg("--version").output().is_err() {
        antiphon_testkit::skipped("each_command_of_the_second_terminal", "curl is not installed");
        return;
    }
    let folder = support::folder();
    let program = folder.path().join("target/release/antiphon");
    std::fs::create_dir_all(program.parent().unwrap_or(Path::new("."))).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_antiphon"), program).expect("a link");
    let database = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let node = Node::serve(&["--database", &database]);

    let readme = std::fs::read_to_string(README).expect("the README");
    let block =
        readme.split("```sh\n").find(|block| block.starts_with("PATH=")).expect("the second terminal");
    let commands = block.split("```").next().unwrap_or_default();
    let commands = commands.replace("127.0.0.1:8080", &node.address.to_string());
    let mut shell = support::shell("bash");
    let output = shell.args(["-euc", &commands]).current_dir(folder.path()).output().expect("bash");
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{log}");
    assert!(said.starts_with("{\"id\":") && said.contains("\"text\":\"hello\""), "{said}\n{log}");
}
