//! Tests for tonic services, whose calls end with a gRPC status.

use std::net::SocketAddr;

use ::tonic::transport::server::TcpIncoming;
use ::tonic::transport::{Channel, Server};
use ::tonic::{Code, Request};
use tokio::net::TcpListener;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::health_reporter;

use crate::behavior::Measured;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

async fn serve(measured: &Measured) -> SocketAddr {
    let metrics = measured.build(|builder| builder.known_routes([("POST", CHECK), ("POST", WATCH)]));
    let (reporter, health) = health_reporter();
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let _reporter = reporter;
        Server::builder().layer(metrics).add_service(health).serve_with_incoming(TcpIncoming::from(listener)).await
    });
    addr
}

async fn client(addr: SocketAddr) -> HealthClient<Channel> {
    let channel =
        Channel::from_shared(format!("http://{addr}")).expect("an address").connect().await.expect("a server");
    HealthClient::new(channel)
}

fn of(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_recorded_by_method() {
    let measured = Measured::new();
    let addr = serve(&measured).await;
    let expected = format!("web_responses_total{{path=\"{WATCH}\",method=\"POST\",status=\"200\"}}");
    assert_eq!(measured.value(&expected), Some(0.0));
    let mut client = client(addr).await;
    client.check(of("shop")).await.expect("healthy");
    measured.recorded(CHECK, "POST", "200", 1.0, [0.0, 0.0]);
    // An error caused by the client is not an exception.
    let status = client.check(of("nowhere")).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    measured.recorded(CHECK, "POST", "200", 2.0, [0.0, 0.0]);
    let unknown = HealthClient::with_origin(
        Channel::from_shared(format!("http://{addr}")).expect("an address").connect().await.expect("a server"),
        "http://localhost/prefixed".parse().expect("valid"),
    )
    .check(of("shop"))
    .await
    .expect_err("no such service");
    assert_eq!(unknown.code(), Code::Unimplemented);
    measured.recorded("other", "POST", "200", 1.0, [1.0, 0.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_is_cancelled() {
    let measured = Measured::new();
    let mut client = client(serve(&measured).await).await;
    let mut watched = client.watch(of("shop")).await.expect("a stream").into_inner();
    watched.message().await.expect("a message").expect("the current status");
    let in_flight = format!("web_requests_in_flight{{path=\"{WATCH}\",method=\"POST\"}}");
    assert_eq!(measured.value(&in_flight), Some(1.0));
    drop(watched);
    tokio::task::spawn_blocking(move || measured.recorded(WATCH, "POST", "200", 1.0, [0.0, 1.0]))
        .await
        .expect("no panic");
}
