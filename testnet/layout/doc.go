// Package layout holds no code. Its test reads the import graph and holds the
// tree to the architecture: who may import whom, in one table.
package layout
