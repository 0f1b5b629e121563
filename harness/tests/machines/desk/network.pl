# Gives eth0 an address: netdevice(7).
use strict;
use Socket;

socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "socket: $!";

sub set {
    my ($request, $value) = @_;
    ioctl($socket, $request, pack('a16 a24', 'eth0', $value)) or die "ioctl $request: $!";
}

set(0x8916, pack_sockaddr_in(0, inet_aton('10.0.2.15')));      # SIOCSIFADDR
set(0x891c, pack_sockaddr_in(0, inet_aton('255.255.255.0')));  # SIOCSIFNETMASK
set(0x8914, pack('s', 0x41));                                  # SIOCSIFFLAGS: up, running
