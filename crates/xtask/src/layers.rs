//! The layering, read off `cargo tree`: a crate earns its place by what it forbids.
//!
//! Only normal dependencies count, with the features that the crate itself asks for. Tests may reach further.

use anyhow::Result;

use crate::report::Finding;
use crate::workspace::{self, Workspace};

/// How far a prohibition reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Not in its own Cargo.toml.
    Direct,
    /// Nor through anything that it depends on.
    Anywhere,
}

/// What one crate must not depend on.
struct Rule {
    package: &'static str,
    /// Package names; one that ends in `*` stands for all names that begin so.
    forbidden: &'static [&'static str],
    reach: Reach,
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        package: "satgas-domain",
        forbidden: &["tokio", "tonic*", "sled", "axum", "hyper", "rand", "satgas-journal", "satgas-engine"],
        reach: Reach::Anywhere,
        because: "the domain is pure: no IO, no clock, no async",
    },
    Rule {
        package: "satgas-journal",
        forbidden: &["prost*", "tonic*", "tokio", "axum", "hyper", "satgas-*"],
        reach: Reach::Anywhere,
        because: "the journal keeps opaque bytes and knows neither the domain nor the network",
    },
    Rule {
        package: "satgas-proof",
        forbidden: &["prost*", "tonic*", "tokio", "axum", "hyper", "sled", "jiff", "satgas-*"],
        reach: Reach::Anywhere,
        because: "whoever checks a proof needs no server, no clock and nothing of how records are stored",
    },
    Rule {
        package: "satgas-engine",
        forbidden: &["tonic*", "axum", "hyper", "h2", "rustls"],
        reach: Reach::Anywhere,
        because: "the engine has no network",
    },
    Rule {
        package: "satgas-backup",
        forbidden: &["tonic*", "tokio", "axum", "hyper", "satgas-domain", "satgas-engine", "satgas-server"],
        reach: Reach::Anywhere,
        because: "a backup is files: it knows neither the network nor what a record means",
    },
    Rule {
        package: "satgas-engine",
        forbidden: &["sled"],
        reach: Reach::Direct,
        because: "only the journal knows how records lie on disk",
    },
    Rule {
        package: "satgas-cli",
        forbidden: &["satgas-domain", "satgas-journal", "satgas-engine", "sled"],
        reach: Reach::Direct,
        because: "the command line can do nothing that a third party's client could not",
    },
];

/// Asks cargo for every rule's tree; a broken rule fails the step with a sentence for each breach.
pub(crate) fn check(workspace: &Workspace) -> Result<Finding> {
    let mut breaches = Vec::new();
    for rule in RULES {
        let tree = workspace::read(&mut workspace.cargo(rule.tree_args()))?;
        breaches.extend(rule.breaches(&tree));
    }
    println!("{} rules, {} breaches", RULES.len(), breaches.len());
    let failure = (!breaches.is_empty()).then(|| breaches.join("\n"));
    Ok(Finding { failure, ..Finding::default() })
}

impl Rule {
    fn tree_args(&self) -> Vec<&'static str> {
        let mut args = vec!["tree", "--locked", "--package", self.package, "--edges", "normal"];
        args.extend(["--prefix", "none", "--format", "{p}"]);
        if self.reach == Reach::Direct {
            args.extend(["--depth", "1"]);
        }
        args
    }

    /// One sentence for each forbidden package in `tree`, which begins with the package itself.
    fn breaches(&self, tree: &str) -> Vec<String> {
        let mut found: Vec<&str> = tree
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != self.package && self.forbids(name))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|name| self.sentence(name)).collect()
    }

    fn forbids(&self, name: &str) -> bool {
        self.forbidden.iter().any(|forbidden| match forbidden.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *forbidden,
        })
    }

    fn sentence(&self, name: &str) -> String {
        let Self { package, because, .. } = self;
        let how = match self.reach {
            Reach::Direct => "depends directly on",
            Reach::Anywhere => "depends on",
        };
        format!("{package} {how} {name}, but {because}; `cargo tree -p {package} -e normal -i {name}` shows the way")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURE: Rule = Rule {
        package: "satgas-domain",
        forbidden: &["tokio", "tonic*", "satgas-*"],
        reach: Reach::Anywhere,
        because: "it is pure",
    };

    #[test]
    fn a_tree_of_permitted_packages_has_no_breach() {
        assert!(
            PURE.breaches("satgas-domain v0.1.0 (/x)\nprost v0.14.6\nbytes v1.12.1\nbytes v1.12.1 (*)\n").is_empty()
        );
    }

    #[test]
    fn a_forbidden_package_is_reported_once_in_a_sentence() {
        let breaches = PURE.breaches("satgas-domain v0.1.0 (/x)\ntokio v1.54.1\nbytes v1.12.1\ntokio v1.54.1 (*)\n");
        assert_eq!(
            breaches,
            [
                "satgas-domain depends on tokio, but it is pure; `cargo tree -p satgas-domain -e normal -i tokio` shows the way"
            ]
        );
    }

    #[test]
    fn a_star_forbids_a_family_but_never_the_package_itself() {
        let tree = "satgas-domain v0.1.0 (/x)\ntonic-prost v0.14.9\nsatgas-domain v0.1.0 (/x) (*)\nsatgas-engine v0.1.0 (/x)\n";
        assert_eq!(PURE.breaches(tree).len(), 2);
    }

    #[test]
    fn a_name_that_merely_begins_alike_is_permitted_without_a_star() {
        assert!(PURE.breaches("satgas-domain v0.1.0 (/x)\ntokio-stream v0.1.19\n").is_empty());
    }
}
