package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Owner is what the server needs of whoever keeps this machine's devices. On a node
// that only rents, what is about devices is ErrInvalid.
type Owner interface {
	// Say counts until the next word. It gives the number of leases there are.
	Say(word controlv1.Word) (leases int, err error)
	// Devices tells how every device stands.
	Devices() (*controlv1.ListDevicesResponse, error)
	// Config is the text of config.yaml.
	Config() ([]byte, error)
	// Settings are what counts now, by their names.
	Settings() [][2]string
	// PutConfig replaces it and applies what can be applied now. ErrInvalid.
	PutConfig(text []byte) error
}

var _ controlv1connect.OwnerServiceHandler = (*Server)(nil)

// Say implements controlv1connect.OwnerServiceHandler.
func (s *Server) Say(_ context.Context, req *controlv1.SayRequest) (*controlv1.SayResponse, error) {
	n, err := s.Owner.Say(req.Word)
	return &controlv1.SayResponse{Leases: uint32(n)}, toWire(err)
}

// ListDevices implements controlv1connect.OwnerServiceHandler.
func (s *Server) ListDevices(context.Context, *controlv1.ListDevicesRequest) (*controlv1.ListDevicesResponse, error) {
	resp, err := s.Owner.Devices()
	return resp, toWire(err)
}

// GetConfig implements controlv1connect.OwnerServiceHandler.
func (s *Server) GetConfig(context.Context, *controlv1.GetConfigRequest) (*controlv1.GetConfigResponse, error) {
	text, err := s.Owner.Config()
	return &controlv1.GetConfigResponse{Text: text}, toWire(err)
}

// ListSettings implements controlv1connect.OwnerServiceHandler.
func (s *Server) ListSettings(context.Context, *controlv1.ListSettingsRequest) (*controlv1.ListSettingsResponse, error) {
	resp := &controlv1.ListSettingsResponse{}
	for _, v := range s.Owner.Settings() {
		resp.Settings = append(resp.Settings, &controlv1.Setting{Name: v[0], Value: v[1]})
	}
	return resp, nil
}

// PutConfig implements controlv1connect.OwnerServiceHandler.
func (s *Server) PutConfig(_ context.Context, req *controlv1.PutConfigRequest) (*controlv1.PutConfigResponse, error) {
	return &controlv1.PutConfigResponse{}, toWire(s.Owner.PutConfig(req.Text))
}

// Say tells the node what the owner wants. It gives the number of leases there are. ErrInvalid.
func (c *Client) Say(ctx context.Context, word controlv1.Word) (leases int, err error) {
	resp, err := c.owner.Say(ctx, &controlv1.SayRequest{Word: word})
	return int(resp.GetLeases()), fromWire(err)
}

// Devices tells how every device of the machine stands. ErrInvalid.
func (c *Client) Devices(ctx context.Context) (*controlv1.ListDevicesResponse, error) {
	resp, err := c.owner.ListDevices(ctx, &controlv1.ListDevicesRequest{})
	return resp, fromWire(err)
}

// Config gives the text of the node's config.yaml.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	resp, err := c.owner.GetConfig(ctx, &controlv1.GetConfigRequest{})
	return resp.GetText(), fromWire(err)
}

// Settings are what the node goes by now, in the order in which settings are listed.
func (c *Client) Settings(ctx context.Context) ([][2]string, error) {
	resp, err := c.owner.ListSettings(ctx, &controlv1.ListSettingsRequest{})
	if err != nil {
		return nil, fromWire(err)
	}
	var out [][2]string
	for _, v := range resp.Settings {
		out = append(out, [2]string{v.Name, v.Value})
	}
	return out, nil
}

// PutConfig replaces the node's config.yaml. ErrInvalid.
func (c *Client) PutConfig(ctx context.Context, text []byte) error {
	_, err := c.owner.PutConfig(ctx, &controlv1.PutConfigRequest{Text: text})
	return fromWire(err)
}
