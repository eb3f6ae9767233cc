//! Tokens and keys from the command line, on a SQLite file.

mod support;

use support::{Finished, antiphon};

struct File(tempfile::TempDir);

fn new_file() -> File {
    File(support::folder())
}

impl File {
    fn run(&self, args: &[&str]) -> Finished {
        let database = format!("sqlite:{}", self.0.path().join("a.db").display());
        antiphon(args).args(&["--database", &database]).run()
    }

    fn good(&self, args: &[&str]) -> String {
        let finished = self.run(args);
        assert_eq!(finished.code, 0, "{args:?}: {}", finished.stderr);
        finished.stdout
    }
}

#[test]
fn a_token_is_printed_alone() {
    let file = new_file();
    let args = ["token", "issue", "--tenant", "acme", "--user", "auth0|6a", "--ttl", "1h"];
    let printed = file.good(&args);
    let token = printed.strip_suffix('\n').unwrap();
    assert!(token.starts_with("ant_") && token.len() == 47 && !token.contains(char::is_whitespace));
    assert_ne!(file.good(&args), printed);
}

#[test]
fn a_key_is_printed_alone_and_never_again() {
    let file = new_file();
    let printed =
        file.good(&["key", "issue", "--scope", "publish", "--scope", "metrics", "--tenant", "acme"]);
    let key = printed.strip_suffix('\n').unwrap();
    assert!(key.starts_with("antkey_") && !key.contains(char::is_whitespace));
    file.good(&["key", "issue", "--ttl", "30d"]);

    let list = file.good(&["key", "list"]);
    let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2);
    let is_time = |text: &str| text.starts_with("20") && text.ends_with('Z');
    assert_eq!((&rows[0][1..3], rows[0][4]), (&["publish,metrics", "acme"][..], "never"));
    assert_eq!(rows[1][1..3], ["publish,directory,metrics,admin", "all"]);
    assert!(is_time(rows[0][3]) && is_time(rows[1][3]) && is_time(rows[1][4]), "{list}");
    assert!(!list.contains("antkey_") && !list.contains(&key[7..]));

    let id = rows[0][0];
    file.good(&["key", "revoke", id]);
    assert_eq!(file.good(&["key", "list"]).lines().count(), 2);
    let again = file.run(&["key", "revoke", id]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains(id));
}

#[test]
fn the_id_of_a_new_key_stands_beside_it_so_that_it_can_be_revoked() {
    let file = new_file();
    file.good(&["migrate"]);
    let issued = file.run(&["key", "issue"]);
    let id = issued.stderr.split_whitespace().find(|word| word.starts_with('k') && word.len() == 14);
    let id = id.unwrap_or_else(|| panic!("no id in {}", issued.stderr)).trim_end_matches(',');
    file.good(&["key", "revoke", id]);
}

#[test]
fn a_database_that_an_issue_has_made_is_named_once() {
    let folder = support::folder();
    let issue = || {
        let database = ["--database", "sqlite:here.db"];
        antiphon(&["token", "issue", "--tenant", "acme", "--user", "ann"]).args(&database).within(&folder)
    };
    let (first, second) = (issue().run(), issue().run());
    let made = folder.path().join("here.db").canonicalize().unwrap();
    assert!(
        first.stderr.contains(&format!("a new database was made, {}", made.display())),
        "{}",
        first.stderr
    );
    assert!(first.stdout.starts_with("ant_") && first.stdout.lines().count() == 1);
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
}

#[test]
fn what_can_not_be_issued_is_a_wrong_command_line() {
    let file = new_file();
    for args in [
        &["token", "issue", "--tenant", "acme"][..],
        &["token", "issue", "--tenant", "a b", "--user", "u"],
        &["token", "issue", "--tenant", "acme", "--user", "u", "--ttl", "soon"],
        &["key", "issue", "--scope", "everything"],
        &["key", "revoke"],
    ] {
        let finished = file.run(args);
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{args:?}");
    }
}

#[test]
fn a_lifetime_that_is_none_or_longer_than_any_is_refused_with_the_bound() {
    let file = new_file();
    for issue in [&["token", "issue", "--tenant", "acme", "--user", "ann"][..], &["key", "issue"]] {
        for (ttl, words) in
            [("0s", "more than `0s`"), ("0", "more than `0s`"), ("999999999d", "at most `366000d`")]
        {
            let finished = file.run(&[issue, &["--ttl", ttl]].concat());
            assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{issue:?} {ttl}");
            assert!(finished.stderr.contains(words), "{}", finished.stderr);
        }
    }
    assert!(!file.0.path().join("a.db").exists(), "nothing was issued");
}

#[test]
fn each_option_of_an_issue_may_come_from_a_variable_a_file_that_one_names_or_the_configuration_file() {
    let folder = support::folder();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let user = write("user", "ann\n");
    let config =
        write("antiphon.toml", "ttl = '30d'\nscope = ['publish', 'metrics']\ntenant = 'of the file'\n");
    let token = antiphon(&["token", "issue"])
        .env("ANTIPHON_TENANT", "acme")
        .env("ANTIPHON_USER_FILE", user)
        .env("ANTIPHON_DATABASE", &database)
        .run();
    assert_eq!(token.code, 0, "{}", token.stderr);
    assert!(token.stdout.starts_with("ant_"));

    let with_config =
        |args: &[&str]| antiphon(args).env("ANTIPHON_DATABASE", &database).env("ANTIPHON_CONFIG", &config);
    let refused = with_config(&["key", "issue"]).run();
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("antiphon.toml: `tenant`: a tenant's id may"), "{}", refused.stderr);
    write("antiphon.toml", "ttl = '30d'\nscope = ['publish', 'metrics']\ntenant = 'acme'\n");
    assert_eq!(with_config(&["key", "issue"]).run().code, 0);
    assert_eq!(
        with_config(&["key", "issue", "--tenant", "flag"]).env("ANTIPHON_SCOPE", "admin").run().code,
        0
    );
    let list = with_config(&["key", "list"]).run().stdout;
    let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!((&rows[0][1..3], &rows[1][1..3]), (&["publish,metrics", "acme"][..], &["admin", "flag"][..]));
    assert!(rows[0][4].starts_with("20"), "{list}");
}

#[test]
fn a_token_for_nobody_is_refused_with_each_way_to_say_for_whom() {
    let file = new_file();
    let finished = file.run(&["token", "issue", "--tenant", "acme"]);
    assert_eq!(finished.code, 2);
    assert_eq!(
        finished.stderr,
        "error: `user` is missing: give --user, or ANTIPHON_USER, or `user` in the configuration file\n"
    );
}

#[test]
fn a_migration_may_be_repeated() {
    let file = new_file();
    assert!(file.good(&["migrate"]).contains("is migrated"));
    assert!(file.good(&["migrate"]).contains("was up to date"));
}

#[test]
fn a_database_that_can_not_be_opened_is_status_1_and_named() {
    let finished = antiphon(&["key", "list", "--database", "sqlite:/nowhere/at/all/a.db"]).run();
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("/nowhere/at/all/a.db"), "{}", finished.stderr);
}

#[test]
fn keys_are_looked_for_in_no_database_that_is_not_there_and_none_is_made() {
    let file = new_file();
    for args in [&["key", "list"][..], &["key", "revoke", "abc"]] {
        let finished = file.run(args);
        assert_eq!(finished.code, 1);
        assert!(finished.stderr.contains("there is no database at") && finished.stderr.contains("a.db"));
    }
    assert!(!file.0.path().join("a.db").exists());
}
