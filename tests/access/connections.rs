//! Connections that hold places: silent ones, and more than there may be.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, identity_service_client::IdentityServiceClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::{door::Door, process::Served};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn address(served: &Served) -> anyhow::Result<SocketAddr> {
    Ok(served.url.rsplit('/').next().context("an address")?.parse()?)
}

/// A connection from an address of loopback that has said so much, and what the server answers first; nothing when it closed it.
async fn say(served: &Served, from: u8, what: &[u8]) -> anyhow::Result<(TcpStream, usize)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0))?;
    let mut stream = socket.connect(address(served)?).await?;
    stream.write_all(what).await?;
    let mut answer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.context("no answer")?;
    // A reset is as good as an end.
    Ok((stream, read.unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_so_many_connections_and_no_more_until_one_has_gone() -> anyhow::Result<()> {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let folder = tempfile::tempdir()?;
    let settings = [("SATGAS_CONNECTIONS_PER_SOURCE_MAX", "2"), ("SATGAS_CONNECTIONS_MAX", "3")];
    let served = Served::start_with(&folder.path().join("data"), &[], &settings)?;
    let mut first = say(&served, 2, HELLO).await?;
    let second = say(&served, 2, HELLO).await?;
    ensure!(first.1 > 0 && second.1 > 0, "both are served");
    ensure!(say(&served, 2, HELLO).await?.1 == 0, "a third one of the same source");
    let other = say(&served, 3, HELLO).await?;
    ensure!(other.1 > 0, "another source has places of its own");
    ensure!(say(&served, 4, HELLO).await?.1 == 0, "one more than all may have");
    first.0.shutdown().await?;
    drop(first);
    let freed = async {
        while say(&served, 4, HELLO).await?.1 == 0 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, freed).await.context("the place is not freed")?
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_silent_connections_keep_nobody_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let served = Served::start_logging(&folder.path().join("data"), &[], &[], std::fs::File::create(&log)?)?;
    let address = address(&served)?;
    let mut silent = Vec::new();
    for _ in 0..400 {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"P")?;
        silent.push(stream);
    }
    let operator = served.operator()?;
    let ask = async {
        let mut client = IdentityServiceClient::new(Door::with(served.channel().await?, &operator));
        anyhow::Ok(client.who_am_i(v1::WhoAmIRequest {}).await?)
    };
    tokio::time::timeout(PATIENCE, ask).await.context("it is kept out")??;
    // Who says nothing is let go of; the last ones when their time is over.
    for stream in &mut silent {
        stream.set_read_timeout(Some(PATIENCE))?;
        let end = stream.read(&mut [0; 1]);
        let is_closed = end.as_ref().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |read| *read == 0);
        ensure!(is_closed, "{end:?}");
    }
    let told = std::fs::read_to_string(&log)?;
    let lines = told.lines().filter(|line| line.contains("connections were turned away")).count();
    ensure!((1..=2).contains(&lines), "counted, and told once a minute at most: {told}");
    Ok(())
}
