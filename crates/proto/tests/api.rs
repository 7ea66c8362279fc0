//! `docs/api.md` is the comments of the proto files, in an order to read. `cargo xtask api` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

const PACKAGE: &str = ".satgas.v1.";
const PREFACE: &str = "# API

The services and messages of `satgas.v1`, from the comments in [proto/satgas/v1](../proto/satgas/v1): made by `cargo xtask api`, not to be edited.
[examples/clients](../examples/clients/README.md) has a client each in Python, in the shell and in Rust; [access.md](access.md) says which role may
call what and in which shape it is answered.

Every call but health (`grpc.health.v1`) and reflection (`grpc.reflection.v1`) needs the header `authorization: Bearer TOKEN`. A refusal has a code that says
whether to try again, and in its details (`google.rpc`) the fields to mend (`BadRequest`), the time to wait (`RetryInfo`) or the reason for programs
(`ErrorInfo`). In JSON names are in camel case, positions and other 64-bit numbers are texts, and fields with their default are left out.
Field numbers are never reused.
";

/// Comments of a file, by the path of what they stand before: field numbers of `FileDescriptorProto` and indexes.
type Comments = HashMap<Vec<i32>, String>;

#[test]
fn the_api_reference_says_what_the_proto_files_say() {
    let page = page(&FileDescriptorSet::decode(satgas_proto::DESCRIPTORS).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    if std::env::var_os("SATGAS_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == page, "docs/api.md is out of date: run `cargo xtask api`");
}

fn page(files: &FileDescriptorSet) -> String {
    let ours = || files.file.iter().filter(|file| file.package() == "satgas.v1");
    let mut page = PREFACE.to_owned();
    page.push_str("\n## Services\n");
    for file in ours() {
        let comments = comments(file);
        for (index, service) in (0..).zip(&file.service) {
            write_service(&mut page, service, &[6, index], &comments);
        }
    }
    for file in ours() {
        let name = Path::new(file.name()).file_stem().unwrap().to_str().unwrap();
        let comments = comments(file);
        if file.message_type.is_empty() && file.enum_type.is_empty() {
            continue;
        }
        write!(page, "\n## {name}.proto\n").unwrap();
        if let Some(comment) = comments.get([2].as_slice()) {
            write!(page, "\n{comment}\n").unwrap();
        }
        for (index, message) in (0..).zip(&file.message_type) {
            write_message(&mut page, message, "", &[4, index], &comments);
        }
        for (index, codes) in (0..).zip(&file.enum_type) {
            write_enum(&mut page, codes, "", &[5, index], &comments);
        }
    }
    page
}

fn comments(file: &FileDescriptorProto) -> Comments {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let told = locations.filter_map(|location| Some((location.path.clone(), location.leading_comments.as_ref()?)));
    told.map(|(path, text)| (path, text.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// What stands before a part; everything has a comment.
fn comment<'a>(comments: &'a Comments, path: &[i32], name: &str) -> &'a str {
    comments.get(path).unwrap_or_else(|| panic!("{name} has no comment in its proto file"))
}

fn below(path: &[i32], kind: i32, index: i32) -> Vec<i32> {
    [path, &[kind, index]].concat()
}

fn write_service(page: &mut String, service: &ServiceDescriptorProto, path: &[i32], comments: &Comments) {
    let name = service.name();
    write!(page, "\n### {name}\n\n{}\n\n", comment(comments, path, name)).unwrap();
    page.push_str("| method | takes | answers | |\n|---|---|---|---|\n");
    for (index, method) in (0..).zip(&service.method) {
        let stream = |streams: bool| if streams { "stream of " } else { "" };
        writeln!(
            page,
            "| `{}` | {}{} | {}{} | {} |",
            method.name(),
            stream(method.client_streaming()),
            named(method.input_type()),
            stream(method.server_streaming()),
            named(method.output_type()),
            cell(comment(comments, &below(path, 2, index), method.name())),
        )
        .unwrap();
    }
}

fn write_message(page: &mut String, message: &DescriptorProto, within: &str, path: &[i32], comments: &Comments) {
    let name = format!("{within}{}", message.name());
    write!(page, "\n### {name}\n\n{}\n", comment(comments, path, &name)).unwrap();
    if !message.field.is_empty() {
        page.push_str("\n| field | number | type | |\n|---|---|---|---|\n");
    }
    for (index, field) in (0..).zip(&message.field) {
        // An optional field lies in a oneof of its own, which nobody wrote.
        let one_of = field.oneof_index.filter(|_| !field.proto3_optional()).map(|index| {
            let one_of = &message.oneof_decl[usize::try_from(index).unwrap()];
            format!("one of `{}`: ", one_of.name())
        });
        let text = comment(comments, &below(path, 2, index), field.name());
        let (of, text) = (one_of.unwrap_or_default(), cell(text));
        writeln!(page, "| `{}` | {} | {} | {of}{text} |", field.name(), field.number(), kind(field)).unwrap();
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        write_message(page, nested, &format!("{name}."), &below(path, 3, index), comments);
    }
    for (index, codes) in (0..).zip(&message.enum_type) {
        write_enum(page, codes, &format!("{name}."), &below(path, 4, index), comments);
    }
}

fn write_enum(page: &mut String, codes: &EnumDescriptorProto, within: &str, path: &[i32], comments: &Comments) {
    let name = format!("{within}{}", codes.name());
    write!(page, "\n### {name}\n\n{}\n\n", comment(comments, path, &name)).unwrap();
    page.push_str("| code | number | |\n|---|---|---|\n");
    for (index, value) in (0..).zip(&codes.value) {
        let text = cell(comment(comments, &below(path, 2, index), value.name()));
        writeln!(page, "| `{}` | {} | {text} |", value.name(), value.number()).unwrap();
    }
}

/// The type of a field, with a link to where it is described.
fn kind(field: &FieldDescriptorProto) -> String {
    let many = match field.label() {
        Label::Repeated => "list of ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let of = match field.r#type() {
        Type::Message | Type::Enum => named(field.type_name()),
        other => format!("`{}`", other.as_str_name().trim_start_matches("TYPE_").to_lowercase()),
    };
    format!("{many}{of}")
}

/// A message or list of codes by its full name.
fn named(full: &str) -> String {
    match full.strip_prefix(PACKAGE) {
        Some(name) => format!("[{name}](#{})", name.replace('.', "").to_lowercase()),
        None => format!("`{}`", full.trim_start_matches('.')),
    }
}

/// A text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
