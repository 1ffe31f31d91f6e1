// Interop drives grpc-go through a gateway: a grpc-go client, the gateway, a grpc-go server.
//
//	interop server ADDRESS
//	interop client ADDRESS     prints a line per case; the exit code is the number of failures
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const maxMessage = 16 << 20

// Messages are plain bytes: what is tested is the way, not protobuf.
type rawCodec struct{}

func (rawCodec) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (rawCodec) Name() string                               { return "raw" }

func init() { encoding.RegisterCodec(rawCodec{}) }

// ---- server ----

func serveStream(_ interface{}, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	if values := md.Get("x-echo-bin"); len(values) > 0 {
		stream.SetTrailer(metadata.Pairs("x-echo-bin", values[0]))
	}
	switch method[strings.LastIndex(method, "/")+1:] {
	case "Fail":
		return status.Error(codes.FailedPrecondition, "no: 50% of \u9910\u5385")
	case "Trailers":
		stream.SetTrailer(metadata.Pairs("x-large", strings.Repeat("t", 16<<10)))
	case "Hang":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "Refuse":
		return status.Error(codes.Unavailable, "early") // before the request has ended
	}
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(serveStream), grpc.ForceServerCodec(rawCodec{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(1<<20), grpc.MaxHeaderListSize(1<<20))
	fmt.Println("listening on", listener.Addr())
	return server.Serve(listener)
}

// ---- client ----

type client struct{ conn *grpc.ClientConn }

var bidi = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

func (c client) open(ctx context.Context, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.conn.NewStream(ctx, bidi, "/interop.Test/"+method, options...)
}

// echo sends messages one after the other and compares what comes back.
func (c client) echo(ctx context.Context, messages [][]byte, options ...grpc.CallOption) (metadata.MD, error) {
	stream, err := c.open(ctx, "Echo", options...)
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		var answer []byte
		if err := stream.SendMsg(&message); err != nil {
			return nil, err
		}
		if err := stream.RecvMsg(&answer); err != nil {
			return nil, err
		}
		if !bytes.Equal(message, answer) {
			return nil, fmt.Errorf("%d bytes came back for %d", len(answer), len(message))
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var extra []byte
	if err := stream.RecvMsg(&extra); err != io.EOF {
		return nil, fmt.Errorf("the end is %v", err)
	}
	return stream.Trailer(), nil
}

func (c client) unary(ctx context.Context, method string, message []byte, options ...grpc.CallOption) error {
	var answer []byte
	return c.conn.Invoke(ctx, "/interop.Test/"+method, &message, &answer, options...)
}

func want(err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("got %v, want %v", err, code)
	}
	return nil
}

func within(limit time.Duration, run func() error) error {
	begin := time.Now()
	if err := run(); err != nil {
		return err
	}
	if took := time.Since(begin); took > limit {
		return fmt.Errorf("took %v, more than %v", took, limit)
	}
	return nil
}

func manyStreams(ctx context.Context, address string, streams, connections int) error {
	var all []grpc.ClientStream
	for i := 0; i < connections; i++ {
		conn, err := dial(address)
		if err != nil {
			return err
		}
		defer conn.Close()
		for j := 0; j < streams/connections; j++ {
			stream, err := client{conn}.open(ctx, "Echo")
			if err != nil {
				return err
			}
			all = append(all, stream)
		}
	}
	message := []byte("all are open")
	for round := 0; round < 2; round++ { // all of them are open when the first one is used
		for _, stream := range all {
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
		for i, stream := range all {
			var answer []byte
			if err := stream.RecvMsg(&answer); err != nil || !bytes.Equal(answer, message) {
				return fmt.Errorf("stream %d: %v", i, err)
			}
		}
	}
	for _, stream := range all {
		stream.CloseSend()
	}
	for i, stream := range all {
		var answer []byte
		if err := stream.RecvMsg(&answer); err != io.EOF {
			return fmt.Errorf("stream %d ends with %v", i, err)
		}
	}
	return nil
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.Dial(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithMaxHeaderListSize(1<<20), grpc.WithDisableServiceConfig())
}

func run(address string) int {
	conn, err := dial(address)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	c := client{conn}
	background := context.Background()
	cases := []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"unary", func(ctx context.Context) error { return c.unary(ctx, "Echo", []byte("hello")) }},
		{"empty message", func(ctx context.Context) error { return c.unary(ctx, "Echo", nil) }},
		{"1,000 unary calls at once", func(ctx context.Context) error {
			var group sync.WaitGroup
			errs := make(chan error, 1000)
			for i := 0; i < 1000; i++ {
				group.Add(1)
				go func() { defer group.Done(); errs <- c.unary(ctx, "Echo", []byte("x")) }()
			}
			group.Wait()
			close(errs)
			for err := range errs {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"bidirectional stream", func(ctx context.Context) error {
			messages := make([][]byte, 500)
			for i := range messages {
				messages[i] = bytes.Repeat([]byte{byte(i)}, i*17)
			}
			_, err := c.echo(ctx, messages)
			return err
		}},
		{"4 MiB messages", func(ctx context.Context) error {
			_, err := c.echo(ctx, [][]byte{bytes.Repeat([]byte("a"), 4<<20), bytes.Repeat([]byte("b"), 4<<20)})
			return err
		}},
		{"gzip", func(ctx context.Context) error {
			_, err := c.echo(ctx, [][]byte{bytes.Repeat([]byte("zip"), 100000)}, grpc.UseCompressor(gzip.Name))
			return err
		}},
		{"binary metadata", func(ctx context.Context) error {
			value := string([]byte{0, 1, 2, 0xff, ','})
			trailer, err := c.echo(metadata.AppendToOutgoingContext(ctx, "x-echo-bin", value), [][]byte{{1}})
			if err == nil && trailer.Get("x-echo-bin")[0] != value {
				err = fmt.Errorf("came back as %q", trailer.Get("x-echo-bin"))
			}
			return err
		}},
		{"16 KiB of trailers", func(ctx context.Context) error {
			var trailer metadata.MD
			err := c.unary(ctx, "Trailers", []byte("x"), grpc.Trailer(&trailer))
			if err == nil && len(trailer.Get("x-large")[0]) != 16<<10 {
				err = fmt.Errorf("%d bytes", len(trailer.Get("x-large")[0]))
			}
			return err
		}},
		{"status and message", func(ctx context.Context) error {
			err := c.unary(ctx, "Fail", []byte("x"))
			if status.Convert(err).Message() != "no: 50% of \u9910\u5385" {
				return fmt.Errorf("message %q", status.Convert(err).Message())
			}
			return want(err, codes.FailedPrecondition)
		}},
		{"deadline", func(ctx context.Context) error {
			return within(2*time.Second, func() error {
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
				return want(c.unary(short, "Hang", []byte("x")), codes.DeadlineExceeded)
			})
		}},
		{"cancel", func(ctx context.Context) error {
			return within(2*time.Second, func() error {
				cancelled, cancel := context.WithCancel(ctx)
				stream, err := c.open(cancelled, "Echo")
				if err != nil {
					return err
				}
				cancel()
				var answer []byte
				return want(stream.RecvMsg(&answer), codes.Canceled)
			})
		}},
		{"answer before the request has ended", func(ctx context.Context) error {
			stream, err := c.open(ctx, "Refuse")
			if err != nil {
				return err
			}
			var answer []byte
			return want(stream.RecvMsg(&answer), codes.Unavailable)
		}},
		{"10,000 concurrent streams", func(ctx context.Context) error { return manyStreams(ctx, address, 10000, 100) }},
	}
	failures := 0
	for _, test := range cases {
		ctx, cancel := context.WithTimeout(background, 60*time.Second)
		begin := time.Now()
		err := test.run(ctx)
		cancel()
		verdict := "ok"
		if err != nil {
			verdict = "FAILED: " + err.Error()
			failures++
		}
		fmt.Printf("  grpc-go  %-38s %6d ms  %s\n", test.name, time.Since(begin).Milliseconds(), verdict)
	}
	return failures
}

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "server" && os.Args[1] != "client") {
		fmt.Fprintln(os.Stderr, "usage: interop server|client ADDRESS")
		os.Exit(2)
	}
	if os.Args[1] == "server" {
		fmt.Fprintln(os.Stderr, serve(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(run(os.Args[2]))
}
