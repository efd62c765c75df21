//go:build !linux

package node

func nvmlHelper(string) (string, error) { return "", errNotLinux }
