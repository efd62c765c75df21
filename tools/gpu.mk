# What checks a machine with an NVIDIA card and nothing else: one bundle, see docs/gpu.md.
.PHONY: gpu-bundle

gpu-bundle: build ## bin/rigmesh-gpu.tar.xz
	mkdir -p bin/rigmesh-gpu
	gcc -O2 -Wall -Wextra -o bin/rigmesh-gpu/load testnet/gpu/load/load.c -ldl
	go run ./testnet/gpu/image bin/rigmesh-gpu/load bin/rigmesh-gpu/load.tar
	go build -ldflags '-s -w' -o bin/rigmesh-gpu/gpu ./testnet/gpu
	cp bin/rigmesh bin/helpers/rigmesh-nvml testnet/gpu/run.sh bin/rigmesh-gpu/
	tar -C bin -I 'xz -T0 -2' -cf bin/rigmesh-gpu.tar.xz rigmesh-gpu && du -h bin/rigmesh-gpu.tar.xz
