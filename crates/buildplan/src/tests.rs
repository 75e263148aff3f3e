//! A plan of two nodes: how it is printed, and what its keys depend on.

use std::cell::RefCell;

use super::*;

/// What a machine has, and what was asked of it.
struct FakeHost {
    source: &'static [u8],
    version: &'static str,
    code: &'static [u8],
    epoch: u64,
    lacks: bool,
    asked: RefCell<Vec<String>>,
}

fn host() -> FakeHost {
    FakeHost { source: b"1", version: "1.0", code: b"c", epoch: 7, lacks: false, asked: RefCell::default() }
}

impl FakeHost {
    fn answer<T>(&self, name: &str, value: T, missing: fn(String) -> Missing) -> Result<T, Missing> {
        self.asked.borrow_mut().push(name.to_owned());
        if self.lacks { Err(missing(name.to_owned())) } else { Ok(value) }
    }
}

impl HostInputs for FakeHost {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        self.answer(path, Digest::of(self.source), Missing::Source)
    }

    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        self.answer(program, ToolId { version: self.version.to_owned() }, Missing::Tool)
    }

    fn builtin(&self, name: &str) -> Result<Digest, Missing> {
        self.answer(name, Digest::of(self.code), Missing::Builtin)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// A file from elsewhere, and a text with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fetched {
    from: &'static str,
}

impl Stage for Fetched {
    type Out = NodeId;
    const NAME: &'static str = "fetched";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> anyhow::Result<NodeId> {
        let mut node = p.node::<Self>("the tools");
        let to = node.out("tools");
        let sources =
            vec![FetchSource::File("/srv/tools".to_owned()), FetchSource::Url(self.from.to_owned())];
        let sha256 = Digest::of(b"tools");
        node.fetch(FetchSpec { to, sources, sha256, size: None, limit: 10, purl: None });
        let note = node.out("note");
        node.write(note, [Arg::from("password "), Arg::Secret("hunter2".to_owned()), Arg::from("\nend")]);
        Ok(node.finish())
    }
}

/// What a program of those tools makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MadeText {
    word: &'static str,
    from: &'static str,
}

impl Stage for MadeText {
    type Out = Artifact;
    const NAME: &'static str = "made";
    const FORMAT: u32 = 3;

    fn plan(&self, p: &mut Planner) -> anyhow::Result<Artifact> {
        let fetched = p.ensure(&Fetched { from: self.from })?;
        let mut node = p.node::<Self>("an \"image\"");
        let out = node.out("image");
        let make = CmdSpec::new("make", "make the image")
            .in_tree(Arg::In(fetched.artifact("tools")))
            .uses("xz")
            .progress("file ", 3)
            .env("LEVEL", "9")
            .arg(Arg::Jobs)
            .args([Arg::from(self.word), Arg::Src("isofs/list".to_owned()), Arg::Epoch])
            .cwd(Arg::Work("w".to_owned()));
        node.resource(Resource::AllCpus)
            .run(make)
            .copy(Arg::In(fetched.artifact("note")), Arg::Work("note".to_owned()))
            .builtin("sums", [("of", out), ("title", Arg::from("it's"))]);
        Ok(node.finish_one())
    }
}

fn plan(word: &'static str, from: &'static str) -> (Plan, NodeId) {
    let mut planner = Planner::new();
    let node = planner.ensure(&MadeText { word, from }).unwrap().node;
    (planner.finish(), node)
}

const URL: &str = "http://me:pw@example.org/tools";

fn key(word: &'static str, from: &'static str, host: &FakeHost) -> Digest {
    let (plan, goal) = plan(word, from);
    Keys::compute(&plan, &[goal], host).unwrap().key(goal)
}

#[test]
fn as_text_paths_are_symbolic_and_secrets_hidden() {
    let text = render(&plan("a b", URL).0, Format::Text);
    let tools = Digest::of(b"tools");
    assert_eq!(
        text,
        format!(
            "node0 fetched v1: the tools [Net] [private]\n    \
             fetch {{out:tools}} sha256 {tools} from /srv/tools or http://example.org/tools\n    \
             write {{out:note}}\n        | password {{secret, 7 bytes}}\n        | end\n    \
             → tools, note\n\
             node1 made v3: an \"image\" [AllCpus] [private]\n    \
             run LEVEL=9 {{node0:tools}}/make {{-jN}} \"a b\" {{src:isofs/list}} {{epoch}} (in {{work:w}})\n    \
             copy {{node0:note}} to {{work:note}}\n    \
             sums of={{out:image}} title=\"it's\"\n    → image\n"
        )
    );
}

#[test]
fn as_json_and_for_graphviz_each_node_has_its_inputs() {
    let (plan, _) = plan("a", URL);
    let json: serde_json::Value = serde_json::from_str(&render(&plan, Format::Json)).unwrap();
    let made = &json["nodes"][1];
    assert_eq!((made["inputs"][0].as_u64(), made["outputs"][0].as_str()), (Some(0), Some("image")));
    let kinds: Vec<_> =
        made["actions"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run", "copy", "sums"]);
    assert_eq!(
        render(&plan, Format::Dot),
        "digraph plan {\n  rankdir=LR;\n  node [shape=box];\n  n0 [label=\"fetched: the tools\"];\n  \
         n1 [label=\"made: an 'image'\"];\n  n0 -> n1;\n}\n"
    );
}

#[test]
fn a_key_follows_what_changes_the_result_and_nothing_else() {
    let built = key("a", URL, &host());
    assert_eq!(key("a", "http://mirror.example.org/tools", &host()), built, "where it comes from");
    let others = [
        key("b", URL, &host()),
        key("a", URL, &FakeHost { source: b"2", ..host() }),
        key("a", URL, &FakeHost { version: "1.1", ..host() }),
        key("a", URL, &FakeHost { code: b"d", ..host() }),
        key("a", URL, &FakeHost { epoch: 8, ..host() }),
    ];
    for (i, other) in others.iter().enumerate() {
        assert!(*other != built && !others[..i].contains(other), "{i}");
    }
}

#[test]
fn inputs_are_told_apart_from_the_programs_that_made_it() {
    let (plan, goal) = plan("a", URL);
    let keys = Keys::compute(&plan, &[goal], &host()).unwrap();
    let labels: Vec<String> = keys.inputs(goal).iter().map(Input::label).collect();
    assert_eq!(
        labels,
        [
            "tool-node fetched tools",
            "tool xz",
            "src isofs/list",
            "action 0 run",
            "node fetched note",
            "action 1 copy",
            "builtin sums",
            "action 2 sums"
        ]
    );
    let values: Vec<String> = keys.inputs(goal).iter().map(Input::value).collect();
    let fetched = keys.ids().next().unwrap();
    assert_eq!((&values[0], &values[1][..]), (&keys.key(fetched).to_string(), "1.0"));
    assert_eq!((&values[2], &values[6]), (&Digest::of(b"1").to_string(), &Digest::of(b"c").to_string()));
}

#[test]
fn all_that_is_missing_is_named_once_and_the_trees_own_program_is_never_asked_for() {
    let (plan, goal) = plan("a", URL);
    let host = FakeHost { lacks: true, ..host() };
    let missing = Keys::compute(&plan, &[goal], &host).unwrap_err();
    let all = [
        Missing::Source("isofs/list".to_owned()),
        Missing::Tool("xz".to_owned()),
        Missing::Builtin("sums".to_owned()),
    ];
    assert_eq!(missing, all);
    assert!(!host.asked.borrow().contains(&"make".to_owned()));
}

#[test]
fn a_stage_that_needs_itself_is_an_error_and_equal_nodes_are_one() {
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    struct Circle;
    impl Stage for Circle {
        type Out = NodeId;
        const NAME: &'static str = "circle";
        const FORMAT: u32 = 1;

        fn plan(&self, p: &mut Planner) -> anyhow::Result<NodeId> {
            p.ensure(self)
        }
    }
    let mut planner = Planner::new();
    assert!(planner.ensure(&Circle).unwrap_err().to_string().contains("stage circle needs itself"));
    let first = planner.ensure(&Fetched { from: URL }).unwrap();
    assert_eq!(planner.ensure(&Fetched { from: URL }).unwrap(), first);
    assert_eq!(planner.finish().nodes.len(), 1);
}

#[test]
fn an_output_is_wanted_with_the_digest_of_its_own_download_or_package() {
    let (fetched, packaged) = (Digest::of(b"fetched"), Digest::of(b"packaged"));
    let mut planner = Planner::new();
    let mut node = planner.node::<Fetched>("files");
    let names = ["other", "file", "packed", "made"];
    let outs = names.map(|name| node.out(name));
    for (to, sha256) in [(&outs[0], Digest::of(b"other")), (&outs[1], fetched)] {
        node.fetch(FetchSpec {
            to: to.clone(),
            sources: Vec::new(),
            sha256,
            size: None,
            limit: 1,
            purl: None,
        });
    }
    for (output, sha256) in [("unrelated", Digest::of(b"unrelated")), ("packed", packaged)] {
        let (package, path) = ("p".to_owned(), "f".to_owned());
        node.material(Material::PackageFile { output: output.to_owned(), package, path, sha256 });
    }
    node.write(outs[3].clone(), [Arg::from("x")]);
    let id = node.finish();
    let plan = planner.finish();
    let wanted = ["file", "packed", "made", "none"].map(|name| plan.node(id).wanted(name));
    assert_eq!(wanted, [Some(fetched), Some(packaged), None, None]);
}

thread_local! {
    static PLANNED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Counts how often it is planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counted(u8);

impl Stage for Counted {
    type Out = u32;
    const NAME: &'static str = "counted";
    const FORMAT: u32 = 1;

    fn plan(&self, _: &mut Planner) -> anyhow::Result<u32> {
        PLANNED.set(PLANNED.get() + 1);
        Ok(PLANNED.get())
    }
}

#[test]
fn a_stage_is_planned_once_for_all_who_need_it() {
    let mut planner = Planner::new();
    let outs = [1, 1, 2, 1, 2].map(|n| planner.ensure(&Counted(n)).unwrap());
    assert_eq!((outs, PLANNED.get()), ([1, 1, 2, 1, 2], 2));
}

#[test]
fn a_product_is_made_by_the_builtin_of_its_kind_out_of_its_parts() {
    let shown = |product: &Product| {
        let (builtin, args) = product.call(Arg::Out("to".to_owned()));
        let args: Vec<String> = args.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{builtin} {}", args.join(" "))
    };
    let files = vec![("/a".to_owned(), Arg::from("x")), ("/b".to_owned(), Arg::Epoch)];
    let (code, catalog) = (Arg::from("mbr"), "/cat".to_owned());
    let iso = |efi: Option<&str>| {
        let (files, efi) = (files.clone(), efi.map(str::to_owned));
        let (label, bios) = ("L".to_owned(), "/i.bin".to_owned());
        Product::Iso(IsoSpec { label, code: code.clone(), bios, catalog: catalog.clone(), efi, files })
    };
    let text = |embed_area| {
        let variables = vec![("v", Arg::from("1")), ("w", Arg::from("2"))];
        Product::Text(TextSpec { template: "t".to_owned(), syntax: "ipxe", embed_area, variables })
    };
    let parts = "path=/a content=x path=/b content={epoch}";
    let image = "iso to={out:to} label=L epoch={epoch} code=mbr bios=/i.bin catalog=/cat";
    assert_eq!(shown(&Product::Fat(files.clone())), format!("fat-image to={{out:to}} {parts}"));
    assert_eq!(shown(&iso(None)), format!("{image} {parts}"));
    assert_eq!(shown(&iso(Some("/e"))), format!("{image} efi=/e {parts}"));
    let filled = "name=v value=1 name=w value=2";
    assert_eq!(shown(&text(None)), format!("template template={{src:t}} kind=ipxe to={{out:to}} {filled}"));
    assert_eq!(
        shown(&text(Some("v"))),
        format!("template template={{src:t}} kind=ipxe to={{out:to}} embed-area=v {filled}")
    );
}
