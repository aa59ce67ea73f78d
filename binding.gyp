{
  "targets": [
    {
      "target_name": "tapbridge",
      "sources": [
        "native/addon.cc",
        "native/burst_io.cc",
        "native/burst_io_object.cc",
        "native/burst_send.cc",
        "native/guard.cc",
        "native/icmp_echo.cc",
        "native/mapped_file.cc",
        "native/netlink.cc",
        "native/netns.cc",
        "native/packet_socket.cc",
        "native/privileges.cc",
        "native/process_descriptor.cc",
        "native/tap.cc",
        "native/vlan_tag.cc",
        "native/waker.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "<!(node -p \"require('node-api-headers').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "cflags_cc": ["-std=c++20", "-fexceptions", "-Wall", "-Wextra", "-Werror"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti"]
    },
    {
      "target_name": "traffic",
      "sources": [
        "native/traffic/addon.cc",
        "native/traffic/frames.cc",
        "native/traffic/sink.cc",
        "native/traffic/tcp.cc",
        "native/traffic/tcp_ask.cc",
        "native/traffic/tcp_calls.cc",
        "native/traffic/udp.cc",
        "native/traffic/udp_calls.cc",
        "native/traffic/udp_echo.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "<!(node -p \"require('node-api-headers').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "cflags_cc": ["-std=c++20", "-fexceptions", "-Wall", "-Wextra", "-Werror"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti"]
    }
  ]
}
