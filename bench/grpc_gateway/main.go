// grpc-gateway as its documentation has it: JSON over HTTP/1.1 and h2c in front, one gRPC connection behind.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"fusegate/bench/grpc_gateway/orders"
)

func serve(address, backend string) error {
	mux := runtime.NewServeMux()
	// Windows as those of the other gateways; peers.py has them.
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1 << 20),
		grpc.WithInitialConnWindowSize(16 << 20),
	}
	if err := orders.RegisterOrdersHandlerFromEndpoint(context.Background(), mux, backend, options); err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr:      address,
		Handler:   mux,
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          1000,
			MaxReceiveBufferPerStream:     1 << 20,
			MaxReceiveBufferPerConnection: 16 << 20,
		},
	}
	return server.ListenAndServe()
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: grpc_gateway LISTEN BACKEND")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "grpc_gateway:", err)
		os.Exit(1)
	}
}
