// Command rigmesh-nvml reads and sets NVIDIA devices for a node. It is a
// process of its own because NVIDIA's libraries can hang or end the process that
// calls them. It answers requests on its standard input and ends with it.
package main
