//! The only code generation of the project: `proto/satgas/v1/*.proto` becomes the crate `satgas-proto`. It runs as that crate's
//! build script, and protox compiles the files, so no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::{
    FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const PACKAGE: &str = "satgas.v1";
/// The messages that tell who a person is or what a reporter wrote; `crates/proto/src/redacted.rs` says what their `Debug` shows.
const CLEAR: [&str; 4] = [
    ".satgas.v1.PersonIdentity",
    ".satgas.v1.PublicReportText",
    ".satgas.v1.PublicMessageText",
    ".satgas.v1.FollowUpRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let proto = root.join("proto");
    let package = proto.join("satgas/v1");
    println!("cargo:rerun-if-changed={}", package.display());
    println!("cargo:rerun-if-changed={}", root.join("build.rs").display());

    let mut files: Vec<PathBuf> = fs::read_dir(&package)?.map(|f| f.map(|f| f.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();
    let encoded = descriptors.encode_to_vec();
    fs::write(out.join("lists.rs"), lists(&descriptors))?;
    fs::write(out.join("descriptors.bin"), &encoded)?;

    tonic_prost_build::configure()
        .codec_path("crate::codec::Codec")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .bytes(".")
        // The largest by far: inline they would make every event so large, and the writer and the fold hand events on.
        .boxed(".satgas.v1.Event.body.submitted")
        .boxed(".satgas.v1.Event.body.conflicting")
        .boxed(".satgas.v1.Event.body.quarantined")
        // A derived Debug would put a name into the first log line or panic that mentions the message.
        .skip_debug(CLEAR)
        .generate_default_stubs(false)
        .client_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.build(&[".satgas.v1"])?;
    encoded_services();
    Ok(())
}

/// Where lists are in messages, for `crates/proto/src/lists.rs`: of each message its fields that are lists of messages, texts or bytes, or
/// messages themselves, and of each request which message it is.
fn lists(descriptors: &FileDescriptorSet) -> String {
    let files = || descriptors.file.iter().filter(|file| file.package() == PACKAGE);
    let messages: Vec<_> = files().flat_map(|file| &file.message_type).collect();
    let index = |name: &str| {
        let name = name.strip_prefix(&format!(".{PACKAGE}."))?;
        messages.iter().position(|message| message.name() == name)
    };
    let mut source = String::from("pub(super) static MESSAGES: &[&[Field]] = &[\n");
    for message in &messages {
        let fields = message.field.iter().filter_map(|field| {
            let is_list = field.label() == Label::Repeated
                && matches!(field.r#type(), Type::Message | Type::String | Type::Bytes);
            let of = index(field.type_name());
            let number = field.number();
            (is_list || of.is_some() && field.r#type() == Type::Message)
                .then(|| format!("Field {{ number: {number}, is_list: {is_list}, of: {of:?} }}, "))
        });
        source.push_str(&format!("    &[{}],\n", fields.collect::<String>()));
    }
    source.push_str("];\n");
    let requests: Vec<&str> =
        files().flat_map(|f| &f.service).flat_map(|s| &s.method).map(|m| m.input_type()).collect();
    for (at, message) in messages.iter().enumerate() {
        let name = message.name();
        let request = requests.contains(&format!(".{PACKAGE}.{name}").as_str()).then_some(at);
        source.push_str(&format!(
            "impl Listed for crate::v1::{name} {{\n    const REQUEST: Option<usize> = {request:?};\n}}\n"
        ));
    }
    source
}

/// Two services once more, for the server only, with responses that are bytes already. `EventService`: the log's own bytes go out as they
/// are, encoded once for all subscribers. `ReleaseService`: a release never changes, so it is encoded once for all who read it.
fn encoded_services() {
    let method = |name: &str, route: &str| {
        let request = format!("crate::v1::{route}Request");
        tonic_build::manual::Method::builder().name(name).route_name(route).input_type(request)
    };
    let encoded = |name: &str, route: &str| {
        method(name, route).output_type("crate::encoded::Encoded").codec_path("crate::encoded::Codec")
    };
    let message = |name: &str, route: &str| {
        let response = format!("crate::v1::{route}Response");
        method(name, route).output_type(response).codec_path("crate::codec::Codec")
    };
    let service = |name: &str| tonic_build::manual::Service::builder().name(name).package(PACKAGE);
    let events = service("EventService")
        .method(encoded("read", "Read").build())
        .method(encoded("subscribe", "Subscribe").server_streaming().build())
        .build();
    let releases = service("ReleaseService")
        .method(message("preview_release", "PreviewRelease").build())
        .method(message("publish_release", "PublishRelease").build())
        .method(message("list_releases", "ListReleases").build())
        .method(encoded("get_release", "GetRelease").build())
        .build();
    tonic_build::manual::Builder::new().build_client(false).compile(&[events, releases]);
}
