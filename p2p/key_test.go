package p2p_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rigmesh/rigmesh/p2p"
)

func TestKeyIsCreatedOnceAndReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "identity.key")
	first, err := p2p.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p2p.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(again) {
		t.Error("the second load gave another key")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o, want 0600", info.Mode().Perm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("%d files beside the key", len(left)-1)
	}
}

func TestKeyCreatedByManyAtOnceIsOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			k, err := p2p.LoadKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(k)
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two keys were created")
		}
	}
}

func TestKeyReadableByOthersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	if _, err := p2p.LoadKey(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := p2p.LoadKey(path); !errors.Is(err, p2p.ErrKeyMode) {
		t.Errorf("got %v, want ErrKeyMode", err)
	}
}

func TestKeyFileWithOtherContentIsRefusedAndKept(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":      "",
		"junk":       "not a key",
		"wrong type": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"cut":        "-----BEGIN PRIVATE KEY-----\nMC4CAQAw",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "identity.key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := p2p.LoadKey(path); !errors.Is(err, p2p.ErrKeyFormat) {
				t.Errorf("got %v, want ErrKeyFormat", err)
			}
			if kept, _ := os.ReadFile(path); string(kept) != text {
				t.Error("the file was changed")
			}
		})
	}
}
