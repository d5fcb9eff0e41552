# What fedledger and Flower read from the environment. Source it in this folder: . ./env.sh
export FEDLEDGER_HOME="$PWD/home" FLWR_HOME="$PWD/flwr"
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1
