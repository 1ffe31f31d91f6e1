//go:build tools

package main

// Keeps h2spec, which has no go.mod of its own, and what it needs at versions that Debian 12's Go can build.
import _ "github.com/summerwind/h2spec/cmd/h2spec"
