#![allow(clippy::unwrap_used)] // tests fail by panicking

use serde_json::json;

use super::*;

fn tree(text: &str) -> Tree {
    Tree::parse(text).unwrap().unwrap()
}

#[test]
fn fields_keep_their_order_and_scalars_their_quotes() {
    let text = "\
kind: Deployment
apiVersion: apps/v1
metadata:
  name: orders
  annotations:
    plain: yes
    quoted: \"yes\"
    number: \"0777\"
    time: 12:30:45
    empty: \"\"
    nothing:
spec:
  replicas: 3
  containers:
  - name: app
    args: []
    env: {}
    command:
    - sh
    - |
      one
        two

      three
  - - nested
    - twice
";
    assert_eq!(tree(text).to_string(), text);
}

#[test]
fn what_is_printed_means_what_was_read_however_it_was_written() {
    for text in [
        "{a: [1, 'x: y', \"z\\n\"], b: {c: ~}}",
        "a: >\n  folded\n  text\nb: |+\n  kept\n\n\nc: |-\n  no end\n",
        "a:\n    - deep\n    -   b: 1\n        c: 2\n",
        "# a comment\na: 'it''s'   # another\n\"b c\": !!str 5\n'1': x\n",
        "a: plain text\n  over two lines\n\n  and a third\n",
        "a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  c: 3\nf:\n  <<: [*x, {g: 1}]\n",
        "- 1\n- -1.5\n- 0x1F\n- off\n- 1.2.3\n- .5\n- nan\n- null\n",
        "a: |2\n   starts with a space\nb: \"\\t\\u0001\"\nc: ' lead'\n",
        "\"quoted\"\n",
        "[]",
        "a: [[], {}, [[1]]]\n",
    ] {
        let read = tree(text);
        let printed = read.to_string();
        assert_eq!(tree(&printed), flattened(&read), "{text}\n{printed}");
        assert_eq!(tree(&printed).json(), read.json(), "{text}\n{printed}");
    }
}

/// Without what printing may change: a plain scalar of several lines comes out quoted.
fn flattened(read: &Tree) -> Tree {
    fn flatten(node: &mut Node) {
        match node {
            Node::Scalar(scalar) => {
                let cannot_stay = match scalar.style {
                    Style::Plain => scalar.text.contains('\n'),
                    Style::Block => scalar.text.starts_with(' '),
                    Style::Quoted => false,
                };
                if cannot_stay {
                    scalar.style = Style::Quoted;
                }
            }
            Node::Sequence(items) => items.iter_mut().for_each(flatten),
            Node::Mapping(fields) => fields.iter_mut().for_each(|(_, value)| flatten(value)),
        }
    }
    let mut tree = read.clone();
    flatten(&mut tree.root);
    tree
}

#[test]
fn a_plain_scalar_means_what_kubectl_takes_it_for() {
    let text = "- 3\n- '3'\n- yes\n- 'yes'\n- Off\n- 0x10\n- 1e3\n- 1.2.3\n- ~\n- nan\n- 1_000\n";
    let expected = json!([3, "3", true, "yes", false, 16, 1000.0, "1.2.3", null, "nan", "1_000"]);
    assert_eq!(tree(text).json(), expected);
}

#[test]
fn what_is_set_is_quoted_where_a_reader_could_take_it_for_something_else() {
    let mut tree = tree("a: 1\nlist: [x]\n");
    let value = json!({"image": "registry.test:5000/moorline@sha256:00", "true": "yes", "n": 5, "text": "one\ntwo\n"});
    assert!(tree.set("/b", &value, true));
    assert!(tree.set("/list/0", &json!("first"), true));
    assert!(tree.set("/list/-", &json!("12:30"), true));
    assert!(tree.set("/a", &json!("over"), false));
    assert!(tree.set("/b/moorline.dev~1inject", &json!("on"), true));
    assert_eq!(
        tree.to_string(),
        "a: over\nlist:\n- first\n- x\n- \"12:30\"\nb:\n  image: registry.test:5000/moorline@sha256:00\n  \"n\": 5\n  \
         text: |\n    one\n    two\n  \"true\": \"yes\"\n  moorline.dev/inject: \"on\"\n"
    );
    for nowhere in ["/c/d", "/a/b", "/list/9", "/list/x"] {
        assert!(!tree.set(nowhere, &json!(1), true), "{nowhere}");
    }
}

#[test]
fn a_file_is_taken_apart_at_its_markers() {
    let text = "# first\na: |\n  x\n  --- y\n--- # second\nb: 1\n---\n---\nc: ---x\n";
    let found: Vec<_> = parts(text).iter().map(|part| (part.line, part.text)).collect();
    assert_eq!(found, [(1, "# first\na: |\n  x\n  --- y\n"), (5, " # second\nb: 1\n"), (7, "\n"), (8, "\nc: ---x\n")]);
    assert_eq!(Tree::parse("# only a comment\n"), Ok(None));
    assert_eq!(Tree::parse(""), Ok(None));
}

#[test]
fn what_is_no_document_is_refused_with_its_line() {
    for (text, line, words) in [
        ("a: 1\nb: [", 3, "cannot be read as YAML"),
        ("a: 1\n? [x]\n: y\n", 2, "a key that is no text"),
        ("a: !own 1\n", 1, "a tag of its own"),
        ("a: &x [*x]\n", 1, "an alias"),
    ] {
        let error = Tree::parse(text).unwrap_err();
        assert!(error.message.contains(words), "{text}: {error}");
        assert_eq!(error.line, line, "{text}: {error}");
    }
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..10 {
        let names = vec![format!("*a{}", n - 1); 10].join(",");
        bomb.push_str(&["a", &n.to_string(), ": &a", &n.to_string(), " [", &names, "]\n"].concat());
    }
    assert_eq!(Tree::parse(&bomb).unwrap_err().message, "is larger than any manifest");
    assert_eq!(Tree::parse(&format!("{}x", "- ".repeat(200))).unwrap_err().message, "is nested too deeply");
}

proptest::proptest! {
    #[test]
    fn any_value_comes_back_from_its_text(text in "[ -~\t\n\u{e9}\u{2028}]{0,24}", key in "[ -~]{0,8}") {
        let mut made = tree("a: 1\n");
        let value = json!({ "text": text, key: [text, {"deep": text}, [[text]]] });
        proptest::prop_assert!(made.set("/b", &value, true));
        let printed = made.to_string();
        let read = Tree::parse(&printed);
        proptest::prop_assert!(read.is_ok(), "{printed}");
        proptest::prop_assert_eq!(read.unwrap().unwrap().json()["b"].clone(), value, "{}", printed);
    }
}
